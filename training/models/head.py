"""The base class of all heads. Its hooks let the pipeline train any head without knowing its class."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

# Each tower with the modality that it reads.
TOWERS = {"image": "image", "text": "text", "lexical": "text"}


class Head(nn.Module):
    """Features as in :class:`training.models.ProductClassifier` -> logits (B, C).

    The constructor takes ``image_width``, ``text_width``, ``classes`` and ``lexical_width``. The hooks suit a head that
    ends in one linear layer; other heads override them.

    Attributes:
        modalities: the modalities that the head reads.
        towers: the towers that the head reads, keys of ``TOWERS``; a fusion can do without ``lexical``.
        from_validation: True for a head without training: it averages the probabilities of the single models, with
            weights from the validation part.
        sizes: (A,) number of classes of each attribute; of a fusion only.
        attends: True if the head has :meth:`attention_weights`.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "text")
    towers: ClassVar[tuple[str, ...]] = tuple(TOWERS)
    from_validation: ClassVar[bool] = False
    sizes: Sequence[int] = ()
    attends: bool = False

    @classmethod
    def build(cls, *, image_width: int, text_width: int, sizes: Sequence[int], lexical_width: int = 0) -> "Head":
        """The untrained head of a model.

        Args:
            image_width: D of the image encoder.
            text_width: D of the text encoder.
            sizes: (A,) number of classes of each attribute; C is their sum.
            lexical_width: D of the lexical encoder; 0 without one.
        """
        return cls(image_width=image_width, text_width=text_width, classes=sum(sizes), lexical_width=lexical_width)

    def output_bias(self) -> Tensor | None:
        """(C,), a bias of the logits that takes the correction of class frequencies; None if the head needs none."""
        return [module for module in self.modules() if isinstance(module, nn.Linear)][-1].bias

    def correction_shares(self) -> Tensor | None:
        """(2, C) in [0, 1], the share of a correction for products with only a picture, and with only a title.

        The validation part sets them. None: the head has no correction.
        """
        return None

    def attention_weights(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Attention of each cell, averaged over attention heads: (B, N, 1 + T) float32; column 0 is the null key."""
        raise NotImplementedError(f"{type(self).__name__} does not attend")

    def single_answers(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Logits (B, C) of the single models within a fusion, by tower; a single model has none."""
        return {}

    def start_from(self, heads: Mapping[str, nn.Module], *, weigh: bool) -> None:
        """Start from the trained single models.

        Args:
            heads: of the trained single models, by tower.
            weigh: learn weights for the models. That needs features of encoders that were not tuned on these rows.
        """

    def after_fit(self) -> None:
        """Freeze the parameters that must not be trained together with the encoders."""
