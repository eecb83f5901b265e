"""The lexical model: the lexical tower's feature -> linear; and that feature in the fusions."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.head import Head


class LexicalHead(Head):
    """Classify by the title's letters.

    Args:
        image_width: unused.
        text_width: unused.
        classes: C.
        lexical_width: D of the lexical encoder.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    towers: ClassVar[tuple[str, ...]] = ("lexical",)

    def __init__(self, *, image_width: int, text_width: int, classes: int, lexical_width: int = 0) -> None:
        super().__init__()
        self.classifier = nn.Linear(lexical_width, classes)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C); reads ``lexical`` only."""
        assert lexical is not None
        logits: Tensor = self.classifier(lexical)
        return logits


class LettersFeature(nn.Module):
    """The lexical feature for a fusion: normalised; a learned vector replaces that of a missing title.

    Args:
        width: D of the lexical encoder; 0 without one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if width else None
        self.missing = nn.Parameter(torch.zeros(width))

    def forward(self, lexical: Tensor | None, present: Tensor) -> list[Tensor]:
        """(B, D) and presence (B, 2) -> one tensor (B, D); none without a lexical encoder."""
        if self.norm is None:
            return []
        return [torch.where(present[:, 1:], self.norm(lexical), self.missing)]
