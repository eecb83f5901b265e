"""Late fusion: a weighted average of the calibrated probabilities of the two single models."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.head import Head
from training.models.image import ImageHead
from training.models.text import TextHead


class LateFusion(Head):
    """p = w * softmax(z_image / T_image) + (1 - w) * softmax(z_text / T_text), for each attribute.

    If a modality is missing, p is the softmax of the other one. Nothing is trained: the heads come from the single
    models, w and the temperatures from the validation part. Each attribute has its own w and temperatures.

    Args:
        image_head: features -> logits (B, C).
        text_head: likewise.
        sizes: (A,) number of classes of each attribute; C is their sum.
        image_weights: (A,) w in [0, 1]; empty means 0.5 for all.
        image_temperatures: (A,) T_image > 0; empty means 1 for all.
        text_temperatures: (A,) T_text > 0; likewise.

    Raises:
        ValueError: a number is out of range.
    """

    from_validation: ClassVar[bool] = True
    image_weight: Tensor
    image_temperature: Tensor
    text_temperature: Tensor

    def __init__(
        self,
        image_head: nn.Module,
        text_head: nn.Module,
        *,
        sizes: Sequence[int],
        image_weights: Sequence[float] = (),
        image_temperatures: Sequence[float] = (),
        text_temperatures: Sequence[float] = (),
    ) -> None:
        super().__init__()
        weights = image_weights or [0.5] * len(sizes)
        by_image, by_text = (given or [1.0] * len(sizes) for given in (image_temperatures, text_temperatures))
        if not all(0 <= weight <= 1 for weight in weights):
            raise ValueError(f"image_weights must be in [0, 1], got {weights}")
        if not min(*by_image, *by_text) > 0:
            raise ValueError(f"temperatures must be > 0, got {by_image} and {by_text}")
        self.image_head = image_head
        self.text_head = text_head
        self.sizes = list(sizes)
        self.register_buffer("image_weight", self._of_classes(weights))
        self.register_buffer("image_temperature", self._of_classes(by_image))
        self.register_buffer("text_temperature", self._of_classes(by_text))

    @classmethod
    def build(cls, *, image_width: int, text_width: int, sizes: Sequence[int]) -> Head:
        """As :meth:`training.models.head.Head.build`, with the heads of the single models."""
        widths = {"image_width": image_width, "text_width": text_width, "classes": sum(sizes)}
        return cls(ImageHead(**widths), TextHead(**widths), sizes=sizes)

    def output_bias(self) -> None:
        """None: the frequencies of the single models are correct already."""

    def forward(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> log-probabilities (B, C).

        The softmax of log-probabilities is the probabilities, so the output can be used as logits.
        """
        by_image = self.image_head(image, text, attention_mask, present) / self.image_temperature
        by_text = self.text_head(image, text, attention_mask, present) / self.text_temperature
        there = present[:, None].float()  # (B, 1, 2)
        weights = torch.stack([self.image_weight, 1 - self.image_weight], dim=-1) * there  # (B, C, 2)
        # A weight of 0 must not remove the only modality of a product.
        weights = torch.where(weights.sum(2, keepdim=True) > 0, weights, there)
        log_weights = torch.log(weights / weights.sum(2, keepdim=True) + torch.finfo(torch.float32).tiny)
        log_probabilities = torch.stack([self._log_softmax(by_image), self._log_softmax(by_text)], dim=2)  # (B, C, 2)
        return torch.logsumexp(log_probabilities + log_weights, dim=2)

    def _of_classes(self, values: Sequence[float]) -> Tensor:
        """(A,) values -> (C,): the value of each class's attribute."""
        return torch.tensor(values, dtype=torch.float32).repeat_interleave(torch.tensor(self.sizes))

    def _log_softmax(self, logits: Tensor) -> Tensor:
        """(B, C) -> (B, C), separately for each attribute."""
        return torch.cat([part.log_softmax(1) for part in torch.split(logits, self.sizes, dim=1)], dim=1)
