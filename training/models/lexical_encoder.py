"""The lexical tower: the weighted mean of the embeddings of a title's words, word pairs and character n-grams.

It reads letters, where BERT reads pieces of known words, so it is right for titles with typos.

Legend: B batch, G ids of a title, D width.
"""

import torch
from torch import Tensor, nn

from handlers.product_serving.ngrams import BUCKETS, PADDING

WIDTH = 96
START_DEVIATION = 0.05
LOG_IMPORTANCE = 4.0  # an id counts from 0.02 to 55 times as much as another one
LEVELS = 127  # of an int8 weight on each side of zero


class LexicalEncoder(nn.Module):
    """The mean of embeddings, weighted by each id's importance, which is learned too.

    A plain mean is diluted by words that say nothing. The weights of the mean are exp(importance), normalised.

    Args:
        width: D.
        buckets: number of ids.
    """

    def __init__(self, width: int = WIDTH, buckets: int = BUCKETS) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(buckets, width)
        self.importance = nn.Embedding(buckets, 1)
        nn.init.normal_(self.embedding.weight, std=START_DEVIATION)
        nn.init.zeros_(self.importance.weight)

    def forward(self, ngrams: Tensor) -> Tensor:
        """(B, G) int64, filled with ``PADDING`` -> (B, D) float32; zeros for a title without ids."""
        return weighted_mean(self.embedding(ngrams), self.importance(ngrams), ngrams)

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the embeddings to the numbers that int8 with a scale for each id can hold.

        The export stores them so (:class:`export.inference_form.RoundedLexicalEncoder`). Everything after the tower is
        fitted on the rounded tower, so the export changes no answer.
        """
        scale = row_scales(self.embedding.weight)
        self.embedding.weight.copy_((self.embedding.weight / scale).round() * scale)


def row_scales(weights: Tensor) -> Tensor:
    """(ids, D) -> (ids, 1): the step of each row's int8 numbers."""
    return weights.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / LEVELS


def weighted_mean(embedded: Tensor, importance: Tensor, ngrams: Tensor) -> Tensor:
    """(B, G, D) embeddings, (B, G, 1) importance, (B, G) ids -> (B, D)."""
    weights = torch.exp(importance.float().clamp(-LOG_IMPORTANCE, LOG_IMPORTANCE)) * (ngrams != PADDING)[..., None]
    total = weights.sum(1).clamp(min=torch.finfo(torch.float32).tiny)
    return (embedded.float() * weights).sum(1) / total
