"""The lexical tower: the weighted mean of the embeddings of a title's words, word pairs and character n-grams.

It reads letters, where BERT reads pieces of known words, so it is right for titles with typos.

Legend: B batch, G ids of a title, D width.
"""

import torch
from torch import Tensor, nn

from handlers.product_serving.titles.ngrams import BUCKETS, PADDING

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
        weights = shares(self.importance(ngrams), ngrams)
        if self.training:  # without the embeddings (B, G, D) in between; ONNX has no such operator
            return nn.functional.embedding_bag(ngrams, self.embedding.weight, mode="sum", per_sample_weights=weights)
        mean: Tensor = (self.embedding(ngrams) * weights[:, :, None]).sum(1)
        return mean

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the embeddings to the numbers that int8 with a scale for each id can hold.

        The export stores them so (:class:`export.graphs.inference_form.RoundedLexicalEncoder`). Everything after the
        tower is fitted on the rounded tower, so the export changes no answer.
        """
        scale = row_scales(self.embedding.weight)
        self.embedding.weight.copy_((self.embedding.weight / scale).round() * scale)


def row_scales(weights: Tensor) -> Tensor:
    """(ids, D) -> (ids, 1): the step of each row's int8 numbers."""
    return weights.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / LEVELS


def shares(importance: Tensor, ngrams: Tensor) -> Tensor:
    """(B, G, 1) importance, (B, G) ids -> (B, G) shares of the mean; their sum is 1, or 0 for a title without ids."""
    weights = torch.exp(importance[:, :, 0].clamp(-LOG_IMPORTANCE, LOG_IMPORTANCE)) * (ngrams != PADDING)
    return weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
