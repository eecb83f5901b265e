"""Intermediate fusion: cross-attention with the picture's cells as queries and the title's tokens as keys.

With one text vector as the only key, softmax would always be 1 and the output would ignore the picture; so all tokens
are keys. A learned null key lets a cell attend to nothing, and a product without a title still has a key.
"""

import torch
from torch import Tensor, nn

from training.models.lexical import LettersFeature
from training.models.residual import CorrectionHead


class IntermediateFusion(CorrectionHead):
    """Project both to one width, attend, then classify the means of attended and plain cells, [CLS] and the letters.

    Args:
        image_width: D of the image encoder.
        text_width: D of the text encoder.
        classes: C.
        lexical_width: D of the lexical encoder; 0 without one.
        width: E, the common width; a multiple of ``heads``.
        heads: attention heads.
        dropout: on the attention weights and before each linear layer of the classifier.

    Raises:
        ValueError: ``width`` is no multiple of ``heads``.
    """

    attends = True

    def __init__(
        self,
        *,
        image_width: int,
        text_width: int,
        classes: int,
        lexical_width: int = 0,
        width: int = 256,
        heads: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads ({heads}), got {width}")
        self.image_projection = nn.Sequential(nn.LayerNorm(image_width), nn.Linear(image_width, width))
        self.text_projection = nn.Sequential(nn.LayerNorm(text_width), nn.Linear(text_width, width))
        self.missing_image = nn.Parameter(torch.zeros(width))
        self.missing_text = nn.Parameter(torch.zeros(width))
        self.null_key = nn.Parameter(torch.randn(width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout / 2, batch_first=True)
        self.letters = LettersFeature(lexical_width)
        pooled = 3 * width + lexical_width
        self.norm = nn.LayerNorm(pooled)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(pooled, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, classes)
        )

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        cells, tokens = self._project(image, text, present)
        attended, _ = self._attend(cells, tokens, attention_mask, present, weights=False)
        title = torch.where(present[:, 1:], tokens[:, 0], self.missing_text)
        return self._classify(attended, cells, title, self.letters(lexical, present))

    def attention_weights(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Attention of each cell, averaged over attention heads: (B, N, 1 + T) float32; column 0 is the null key."""
        cells, tokens = self._project(image, text, present)
        _, weights = self._attend(cells, tokens, attention_mask, present, weights=True)
        assert weights is not None
        return weights

    def _project(self, image: Tensor, text: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        cells = torch.where(present[:, :1, None], self.image_projection(image), self.missing_image)  # (B, N, E)
        return cells, self.text_projection(text)

    def _classify(self, attended: Tensor, cells: Tensor, title: Tensor, letters: list[Tensor]) -> Tensor:
        pooled = torch.cat([attended.mean(1), cells.mean(1), title, *letters], dim=1)  # (B, 3E + D_lexical)
        logits: Tensor = self.classifier(self.norm(pooled))
        return logits

    def _attend(
        self, cells: Tensor, tokens: Tensor, attention_mask: Tensor, present: Tensor, *, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        null = self.null_key.expand(tokens.shape[0], 1, -1)
        keys = torch.cat([null, tokens], dim=1)  # (B, 1 + T, E)
        ignored = (attention_mask == 0) | ~present[:, 1:]  # the inverse of the tokenizer's mask
        ignored = torch.cat([torch.zeros_like(ignored[:, :1]), ignored], dim=1)
        attended: tuple[Tensor, Tensor | None] = self.attention(
            cells, keys, keys, key_padding_mask=ignored, need_weights=weights
        )
        return attended
