"""Late fusion: a weighted average of the calibrated probabilities of the single models."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from handlers.product_serving.settings import MODALITIES
from training.models.head import TOWERS, Head
from training.models.single import single_heads


class LateFusion(Head):
    """p = sum of w_m * softmax(z_m / T_m) over the single models m, for each attribute.

    If a modality is missing, the weights of the other models are scaled to a sum of 1. Nothing is trained: the heads
    come from the single models, weights and temperatures from the validation part. Each attribute has its own.

    Legend: M single models.

    Args:
        heads: features -> logits (B, C), by tower.
        sizes: (A,) number of classes of each attribute; C is their sum.
        weights: (A, M) >= 0; empty means equal weights.
        temperatures: (A, M) > 0; empty means 1 for all.

    Raises:
        ValueError: a number is out of range.
    """

    from_validation: ClassVar[bool] = True
    weights: Tensor
    temperatures: Tensor

    def __init__(
        self,
        heads: Mapping[str, nn.Module],
        *,
        sizes: Sequence[int],
        weights: Sequence[Sequence[float]] = (),
        temperatures: Sequence[Sequence[float]] = (),
    ) -> None:
        super().__init__()
        weights = weights or [[1 / len(heads)] * len(heads)] * len(sizes)
        temperatures = temperatures or [[1.0] * len(heads)] * len(sizes)
        if not all(min(row) >= 0 and sum(row) > 0 for row in weights):
            raise ValueError(f"weights must be >= 0 with a sum > 0, got {weights}")
        if not all(min(row) > 0 for row in temperatures):
            raise ValueError(f"temperatures must be > 0, got {temperatures}")
        self.heads = nn.ModuleDict(heads)
        self.sizes = list(sizes)
        self.columns = [MODALITIES.index(TOWERS[name]) for name in heads]
        self.register_buffer("weights", self._of_classes(weights))
        self.register_buffer("temperatures", self._of_classes(temperatures))

    @classmethod
    def build(cls, *, image_width: int, text_width: int, sizes: Sequence[int], lexical_width: int = 0) -> Head:
        """As :meth:`training.models.head.Head.build`, with the heads of the single models."""
        widths = {"image_width": image_width, "text_width": text_width, "lexical_width": lexical_width}
        return cls(single_heads(**widths, classes=sum(sizes)), sizes=sizes)

    def output_bias(self) -> None:
        """None: the frequencies of the single models are correct already."""

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> log-probabilities (B, C).

        The softmax of log-probabilities is the probabilities, so the output can be used as logits.
        """
        singles = self.single_answers(image, text, attention_mask, present, lexical)
        answers = [self._log_softmax(logits) for logits in singles.values()]
        there = torch.stack([present[:, column] for column in self.columns], dim=1)[:, None].float()  # (B, 1, M)
        weights = self.weights * there  # (B, C, M)
        # A weight of 0 must not remove the only modality of a product.
        weights = torch.where(weights.sum(2, keepdim=True) > 0, weights, there)
        log_weights = torch.log(weights / weights.sum(2, keepdim=True) + torch.finfo(torch.float32).tiny)
        return torch.logsumexp(torch.stack(answers, dim=2) + log_weights, dim=2)

    def single_answers(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As in :class:`Head`, each divided by its temperature."""
        features = (image, text, attention_mask, present, lexical)
        return {
            name: head(*features) / temperature
            for (name, head), temperature in zip(self.heads.items(), self.temperatures.T, strict=True)
        }

    def _of_classes(self, values: Sequence[Sequence[float]]) -> Tensor:
        """(A, M) values -> (C, M): the values of each class's attribute."""
        return torch.tensor(values, dtype=torch.float32).repeat_interleave(torch.tensor(self.sizes), dim=0)

    def _log_softmax(self, logits: Tensor) -> Tensor:
        """(B, C) -> (B, C), separately for each attribute."""
        return torch.cat([part.log_softmax(1) for part in torch.split(logits, list(self.sizes), dim=1)], dim=1)
