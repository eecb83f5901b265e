"""The image model: mean of the encoder's cells -> dropout -> linear."""

from typing import ClassVar

from torch import Tensor, nn

from training.models.head import Head


class ImageHead(Head):
    """Classify by the picture.

    Args:
        image_width: D of the image encoder.
        text_width: unused.
        classes: C.
        lexical_width: unused.
        dropout: applied to the pooled picture.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    towers: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(
        self, *, image_width: int, text_width: int, classes: int, lexical_width: int = 0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(image_width, classes)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C); reads ``image`` only."""
        logits: Tensor = self.classifier(self.dropout(image.mean(1)))
        return logits
