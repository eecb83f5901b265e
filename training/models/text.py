"""The text model: the [CLS] feature -> dropout -> linear."""

from typing import ClassVar

from torch import Tensor, nn

from training.models.head import Head


class TextHead(Head):
    """Classify by the title.

    Args:
        image_width: unused.
        text_width: D of the text encoder.
        classes: C.
        lexical_width: unused.
        dropout: applied to the [CLS] feature.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    towers: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(
        self, *, image_width: int, text_width: int, classes: int, lexical_width: int = 0, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(text_width, classes)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C); reads ``text`` only."""
        logits: Tensor = self.classifier(self.dropout(text[:, 0]))
        return logits
