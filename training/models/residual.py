"""A learned fusion on top of what the single models already say: their logits are added, the fusion corrects the sum.

Adding logits is the product of the two opinions, what independent witnesses call for; titles and pictures are not
independent, nor always worth the same. The fusion learns how much each opinion counts
(:mod:`training.models.certainty`) and what else is wrong with the sum. It starts from the plain sum. For a product with
one side missing that is the very answer of the surviving single model, which a correction can harm: it counts by the
share that the validation part finds it worth (:func:`training.pipeline.fusions.weigh_corrections`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.models.certainty import CertaintyWeights
from training.models.head import Head
from training.models.image import ImageHead
from training.models.text import TextHead


class Correction(Head):
    """A fusion that learns what is wrong with the sum of the single models' logits."""

    @classmethod
    def build(cls, *, image_width: int, text_width: int, sizes: Sequence[int]) -> Head:
        """As :meth:`training.models.head.Head.build`: the correction on top of two single heads."""
        widths = {"image_width": image_width, "text_width": text_width, "classes": sum(sizes)}
        return ResidualFusion(ImageHead(**widths), TextHead(**widths), cls(**widths), sizes=sizes)


class ResidualFusion(Head):
    """z = w_image * z_image + w_text * z_text + share * fusion(image, text) + shift.

    Where one modality is missing its z is left out, and the other's counts as it is.

    Args:
        image_head: of the single model; its weights stay as they are.
        text_head: likewise.
        fusion: features -> logits (B, C); its last linear layer starts at zero.
        sizes: (A,) classes of each attribute, which follow each other in C.

    Attributes:
        one_sided_shares: (2, C) in [0, 1], the correction's share for a product with a picture only, and with a title
            only.
        shift: (C,), what gives the answers the classes' true frequencies, 0 until then.
    """

    one_sided_shares: Tensor
    shift: Tensor

    def __init__(self, image_head: Head, text_head: Head, fusion: Head, *, sizes: Sequence[int]) -> None:
        super().__init__()
        self.image_head = image_head.requires_grad_(False)
        self.text_head = text_head.requires_grad_(False)
        self.fusion = fusion
        self.attends = fusion.attends
        self.weights = CertaintyWeights(sizes)
        self.register_buffer("one_sided_shares", torch.ones(2, sum(sizes)))
        self.register_buffer("shift", torch.zeros(sum(sizes)))
        last = [module for module in fusion.modules() if isinstance(module, nn.Linear)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def train(self, mode: bool = True) -> "ResidualFusion":
        """Train the fusion; the single models' heads stay without dropout."""
        super().train(mode)
        self.image_head.eval()
        self.text_head.eval()
        return self

    def forward(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        by_image = self.image_head(image, text, attention_mask, present)
        by_text = self.text_head(image, text, attention_mask, present)
        both = present.all(1, keepdim=True)
        of_image, of_text = self.weights(by_image, by_text)
        by_image = torch.where(present[:, :1], by_image * torch.where(both, of_image, 1.0), 0.0)
        by_text = torch.where(present[:, 1:], by_text * torch.where(both, of_text, 1.0), 0.0)
        one_sided = torch.where(present[:, :1], self.one_sided_shares[0], self.one_sided_shares[1])  # (B, C)
        correction = torch.where(both, 1.0, one_sided) * self.fusion(image, text, attention_mask, present)
        logits: Tensor = by_image + by_text + correction + self.shift
        return logits

    def output_bias(self) -> Tensor:
        """The shift."""
        return self.shift

    def correction_shares(self) -> Tensor:
        """Those of a product with one modality."""
        return self.one_sided_shares

    def attention_weights(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """Those of the correction."""
        weights: Tensor = self.fusion.attention_weights(image, text, attention_mask, present)
        return weights

    def start_from(self, image_head: nn.Module, text_head: nn.Module, *, weigh: bool) -> None:
        """Take over the single models' heads; learn their weights if ``weigh``, for else every encoder is certain."""
        self.image_head.load_state_dict(image_head.state_dict())
        self.text_head.load_state_dict(text_head.state_dict())
        self.weights.requires_grad_(weigh)

    def after_fit(self) -> None:
        """Keep the single models' weights: they are learned from features that the encoders were not tuned on."""
        self.weights.requires_grad_(False)
