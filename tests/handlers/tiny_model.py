"""A classifier that exports in a second and has the parts of every classifier of this project."""

import torch
from serving import LABELS
from torch import Tensor, nn

from training.models.head import Head

LETTERS = 4


class TinyCells(nn.Module):
    """The colours of a picture's quarters: (B, 4, 3)."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image.float() / 255, image.shape[-1] // 2).flatten(2).transpose(1, 2)


class TinyTokens(nn.Module):
    """A vector for each token: (B, T, 8)."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        vectors: Tensor = self.words(input_ids) * attention_mask.unsqueeze(2)
        return vectors


class TinySingle(Head):
    """A single model within a fusion: one linear layer on its tower's features."""

    def __init__(self, tower: str, width: int) -> None:
        super().__init__()
        self.tower, self.linear = tower, nn.Linear(width, len(LABELS))

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        assert lexical is not None
        read = {"image": lambda: image.flatten(1), "text": lambda: text.sum(1), "lexical": lambda: 20 * lexical}
        logits: Tensor = self.linear(read[self.tower]())
        return logits


class TinyHead(Head):
    """Reads the quarters, the mean of the words and the letters, each only if present."""

    sizes = (len(LABELS),)

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12 + 8 + LETTERS, len(LABELS))
        with torch.random.fork_rng():
            widths = {"image": 12, "text": 8, "lexical": LETTERS}
            self.heads = nn.ModuleDict({name: TinySingle(name, width) for name, width in widths.items()})

    def single_answers(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {name: head(image, text, attention_mask, present, lexical) for name, head in self.heads.items()}

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        words = text.sum(1) / attention_mask.sum(1, keepdim=True)
        assert lexical is not None
        title = torch.cat([words, 20 * lexical], 1) * present[:, 1:]
        both = torch.cat([image.flatten(1) * present[:, :1], title], 1)
        logits: Tensor = self.linear(both) * 3
        return logits
