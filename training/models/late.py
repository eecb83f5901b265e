"""Late fusion: a weighted average of the two single models' calibrated probabilities."""

import torch
from torch import Tensor, nn


class LateFusion(nn.Module):
    """Average the softmax of an image head and a text head, each divided by its own temperature.

    p = w * softmax(z_image / T_image) + (1 - w) * softmax(z_text / T_text); where a modality is missing, the other
    one's probabilities stand alone. Nothing here is trained: heads come from the single models, w from validation.

    Args:
        image_head: features -> logits (B, C).
        text_head: likewise.
        image_weight: w in [0, 1].
        image_temperature: T_image > 0.
        text_temperature: T_text > 0.

    Raises:
        ValueError: a number is out of its range.
    """

    image_weight: Tensor
    image_temperature: Tensor
    text_temperature: Tensor

    def __init__(
        self,
        image_head: nn.Module,
        text_head: nn.Module,
        *,
        image_weight: float = 0.5,
        image_temperature: float = 1.0,
        text_temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= image_weight <= 1:
            raise ValueError(f"image_weight must be in [0, 1], got {image_weight}")
        if min(image_temperature, text_temperature) <= 0:
            raise ValueError(f"temperatures must be > 0, got {image_temperature} and {text_temperature}")
        self.image_head = image_head
        self.text_head = text_head
        self.register_buffer("image_weight", torch.tensor(float(image_weight)))
        self.register_buffer("image_temperature", torch.tensor(float(image_temperature)))
        self.register_buffer("text_temperature", torch.tensor(float(text_temperature)))

    def forward(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> log-probabilities (B, C).

        A logarithm of probabilities is a logit whose softmax gives them back, so late fusion answers like the others.
        """
        by_image = self.image_head(image, text, attention_mask, present) / self.image_temperature
        by_text = self.text_head(image, text, attention_mask, present) / self.text_temperature
        weights = torch.stack([self.image_weight, 1 - self.image_weight]) * present  # (B, 2)
        # A weight of zero must not silence the only modality that is there.
        weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, present.float())
        log_weights = torch.log(weights / weights.sum(1, keepdim=True) + torch.finfo(torch.float32).tiny)
        log_probabilities = torch.stack([by_image.log_softmax(1), by_text.log_softmax(1)], dim=2)  # (B, C, 2)
        return torch.logsumexp(log_probabilities + log_weights[:, None], dim=2)
