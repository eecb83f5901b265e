"""Residual fusion: add the logits of the two single models and learn a correction.

Adding logits multiplies the two models' probabilities, which is right for independent evidence. Titles and pictures are
not independent, and one may be more reliable. So the fusion learns a weight for each model, from how certain both are,
and a correction. It starts from the plain sum. If the picture or the title is missing, the sum is the logits of the
other model, and a correction can harm them. The validation part therefore chooses the correction's share for such
products (:func:`training.pipeline.fusions.weigh_corrections`).

The plain sum trusts both models alike. It helps if titles say little, and costs accuracy if they name the class. With
EfficientNet-Lite0 and MiniLM on 142 article types (5,725 products), the sum is right for 96.5 % and the title model for
97.1 %. With the label's words removed from the titles, it is 88.2 % and 57.0 %.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.models.head import Head
from training.models.image import ImageHead
from training.models.text import TextHead

LEAST_DOUBT = 1e-4
LOG_WEIGHTS = (-2.5, 1.5)  # weights of 0.08 to 4.5


class CertaintyWeights(nn.Module):
    """A small network that maps the certainty of two models to a weight for the logits of each; it starts at 1 and 1.

    It reads two numbers for each model and attribute: log(1 - max p), and the entropy of p in nats. It does not see the
    class, so it also works with the served encoders, although it is trained on the outputs of other ones: those that
    cross-fitting tuned without the training row. Without cross-fitting both weights stay 1, because an encoder is
    always certain of the rows that it was tuned on.

    Args:
        sizes: (A,) number of classes of each attribute; C is their sum.
        width: of the hidden layer.
    """

    attribute_of_class: Tensor

    def __init__(self, sizes: Sequence[int], width: int = 16) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.register_buffer("attribute_of_class", torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)))
        last = nn.Linear(width, 2 * len(sizes))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(4 * len(sizes), width), nn.GELU(), last)

    def forward(self, by_image: Tensor, by_text: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) logits of both models -> (B, C) weights for each."""
        certainty = torch.cat([*self._certainty(by_image), *self._certainty(by_text)], dim=1)
        weights = torch.exp(self.network(certainty).float().clamp(*LOG_WEIGHTS))  # (B, 2A)
        of_image, of_text = weights.chunk(2, dim=1)
        return of_image[:, self.attribute_of_class], of_text[:, self.attribute_of_class]

    def _certainty(self, logits: Tensor) -> list[Tensor]:
        """(B, C) logits -> 2A tensors (B, 1)."""
        certainty = []
        for part in torch.split(logits.float(), self.sizes, dim=1):
            log_p = part.log_softmax(1)
            p = log_p.exp()
            most = p.max(1, keepdim=True).values.clamp(max=1 - LEAST_DOUBT)
            certainty += [torch.log1p(-most), -(p * log_p).sum(1, keepdim=True)]
        return certainty


class CorrectionHead(Head):
    """A fusion whose logits correct the sum of the single models' logits."""

    @classmethod
    def build(cls, *, image_width: int, text_width: int, sizes: Sequence[int]) -> Head:
        """As :meth:`training.models.head.Head.build`: a :class:`ResidualFusion` with this correction."""
        widths = {"image_width": image_width, "text_width": text_width, "classes": sum(sizes)}
        return ResidualFusion(ImageHead(**widths), TextHead(**widths), cls(**widths), sizes=sizes)


class ResidualFusion(Head):
    """z = w_image * z_image + w_text * z_text + share * fusion(image, text) + shift.

    If a modality is missing, its z is left out and the weight of the other one is 1.

    Args:
        image_head: of the single model; frozen.
        text_head: likewise.
        fusion: features -> logits (B, C); its last linear layer starts at zero.
        sizes: (A,) number of classes of each attribute; C is their sum.

    Attributes:
        one_modality_shares: (2, C) in [0, 1], the correction's share for products with only a picture, and with only a
            title.
        shift: (C,), corrects the class frequencies; 0 until it is set.
    """

    one_modality_shares: Tensor
    shift: Tensor

    def __init__(self, image_head: Head, text_head: Head, fusion: Head, *, sizes: Sequence[int]) -> None:
        super().__init__()
        self.image_head = image_head.requires_grad_(False)
        self.text_head = text_head.requires_grad_(False)
        self.fusion = fusion
        self.attends = fusion.attends
        self.weights = CertaintyWeights(sizes)
        self.register_buffer("one_modality_shares", torch.ones(2, sum(sizes)))
        self.register_buffer("shift", torch.zeros(sum(sizes)))
        last = [module for module in fusion.modules() if isinstance(module, nn.Linear)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def train(self, mode: bool = True) -> "ResidualFusion":
        """As of any module, but the single models' heads stay in evaluation mode."""
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
        one_modality = torch.where(present[:, :1], self.one_modality_shares[0], self.one_modality_shares[1])  # (B, C)
        correction = torch.where(both, 1.0, one_modality) * self.fusion(image, text, attention_mask, present)
        logits: Tensor = by_image + by_text + correction + self.shift
        return logits

    def output_bias(self) -> Tensor:
        """As in :class:`Head`: the shift."""
        return self.shift

    def correction_shares(self) -> Tensor:
        """As in :class:`Head`."""
        return self.one_modality_shares

    def attention_weights(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """The attention weights of the correction."""
        weights: Tensor = self.fusion.attention_weights(image, text, attention_mask, present)
        return weights

    def start_from(self, image_head: nn.Module, text_head: nn.Module, *, weigh: bool) -> None:
        """Copy the single models' heads; learn their weights if ``weigh``."""
        self.image_head.load_state_dict(image_head.state_dict())
        self.text_head.load_state_dict(text_head.state_dict())
        self.weights.requires_grad_(weigh)

    def after_fit(self) -> None:
        """Freeze the certainty weights: they must be learned on rows that the encoders were not tuned on."""
        self.weights.requires_grad_(False)
