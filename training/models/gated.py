"""Gated fusion, an ablation: a learned gate mixes picture and title, feature by feature.

Arevalo et al. 2017, "Gated multimodal units for information fusion" (arXiv:1702.01992).
"""

import torch
from torch import Tensor, nn

from training.models.lexical import LettersFeature
from training.models.residual import CorrectionHead


class GatedFusion(CorrectionHead):
    """h = z * tanh(W_image x) + (1 - z) * tanh(W_text t), z = sigmoid(W_gate [x, t]); then a linear layer.

    Args:
        image_width: D of the image encoder.
        text_width: D of the text encoder.
        classes: C.
        lexical_width: D of the lexical encoder; 0 without one.
        width: E, the width of h.
        dropout: on the pooled features and on h.
    """

    def __init__(
        self,
        *,
        image_width: int,
        text_width: int,
        classes: int,
        lexical_width: int = 0,
        width: int = 512,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.image_norm = nn.LayerNorm(image_width)
        self.text_norm = nn.LayerNorm(text_width)
        self.missing_image = nn.Parameter(torch.zeros(image_width))
        self.missing_text = nn.Parameter(torch.zeros(text_width))
        self.image_features = nn.Linear(image_width, width)
        self.letters = LettersFeature(lexical_width)
        self.text_features = nn.Linear(text_width + lexical_width, width)
        self.gate = nn.Linear(image_width + text_width + lexical_width, width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        picture = torch.where(present[:, :1], self.image_norm(image.mean(1)), self.missing_image)
        title = torch.where(present[:, 1:], self.text_norm(text[:, 0]), self.missing_text)
        title = torch.cat([title, *self.letters(lexical, present)], dim=1)
        picture, title = self.dropout(picture), self.dropout(title)
        gate = torch.sigmoid(self.gate(torch.cat([picture, title], dim=1)))  # (B, E)
        mixed = gate * torch.tanh(self.image_features(picture)) + (1 - gate) * torch.tanh(self.text_features(title))
        logits: Tensor = self.classifier(self.dropout(mixed))
        return logits
