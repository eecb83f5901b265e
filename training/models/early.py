"""Early fusion: normalise the towers' pooled features, concatenate, classify with one hidden layer."""

import torch
from torch import Tensor, nn

from training.models.lexical import LettersFeature
from training.models.residual import CorrectionHead


class EarlyFusion(CorrectionHead):
    """LayerNorm of each -> concatenate -> MLP. A learned vector replaces a missing modality.

    Args:
        image_width: D of the image encoder.
        text_width: D of the text encoder.
        classes: C.
        lexical_width: D of the lexical encoder; 0 without one.
        hidden: width of the hidden layer.
        dropout: before each linear layer.
    """

    def __init__(
        self,
        *,
        image_width: int,
        text_width: int,
        classes: int,
        lexical_width: int = 0,
        hidden: int = 512,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.image_norm = nn.LayerNorm(image_width)
        self.text_norm = nn.LayerNorm(text_width)
        self.missing_image = nn.Parameter(torch.zeros(image_width))
        self.missing_text = nn.Parameter(torch.zeros(text_width))
        self.letters = LettersFeature(lexical_width)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(image_width + text_width + lexical_width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        picture = torch.where(present[:, :1], self.image_norm(image.mean(1)), self.missing_image)
        title = torch.where(present[:, 1:], self.text_norm(text[:, 0]), self.missing_text)
        logits: Tensor = self.classifier(torch.cat([picture, title, *self.letters(lexical, present)], dim=1))
        return logits
