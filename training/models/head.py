"""The module on top of a tower or two, and the hooks by which a run trains it without knowing which one it is."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn


class Head(nn.Module):
    """Features as in :class:`training.models.ProductClassifier` -> logits (B, C).

    Every head is built from ``image_width``, ``text_width`` and ``classes``. The hooks below say what a plain head with
    one last linear layer does; a head that differs overrides them.

    Attributes:
        modalities: what it reads.
        from_validation: whether it has nothing to train: it weighs the probabilities of the two single models, by what
            these answered the validation part.
        attends: whether it has :meth:`attention_weights`.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "text")
    from_validation: ClassVar[bool] = False
    attends: bool = False

    @classmethod
    def build(cls, *, image_width: int, text_width: int, sizes: Sequence[int]) -> "Head":
        """The untrained head of a model.

        Args:
            image_width: D of the image encoder.
            text_width: D of the text encoder.
            sizes: (A,) classes of each attribute; their logits follow each other on the last axis.
        """
        return cls(image_width=image_width, text_width=text_width, classes=sum(sizes))

    def output_bias(self) -> Tensor | None:
        """(C,), added to the logits: where a shift to the classes' true frequencies goes. None: the head needs none."""
        return [module for module in self.modules() if isinstance(module, nn.Linear)][-1].bias

    def correction_shares(self) -> Tensor | None:
        """(2, C) in [0, 1], how much a correction counts for a picture alone and for a title alone.

        The validation part chooses them. None: the head corrects nothing.
        """
        return None

    def attention_weights(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """What each cell attends to, averaged over heads: (B, N, 1 + T) float32; column 0 is for no word."""
        raise NotImplementedError(f"{type(self).__name__} does not attend")

    def start_from(self, image_head: nn.Module, text_head: nn.Module, *, weigh: bool) -> None:
        """Take over what the single models know, before the head is trained.

        Args:
            image_head: of the trained image model.
            text_head: of the trained text model.
            weigh: the features are of encoders that were not tuned on the same rows, so that training can learn whom to
                trust.
        """

    def after_fit(self) -> None:
        """Fix what is learned from features alone; encoders and head may be trained together from here on."""
