"""The interface of engines: a batch -> logits; and the graph in parts, of which an engine computes what is needed.

Legend: B batch, N picture cells, T title tokens, G ids of a title's letters, D width of an encoder, C classes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

FP32_TOLERANCE = 1e-3  # largest error of a score in fp32


class Batch(NamedTuple):
    """A batch of products; the fields are the graph's inputs. Titles are padded to the longest.

    Args:
        image: (B, 3, H, W) uint8.
        input_ids: (B, T) int64, padded with 0.
        attention_mask: (B, T) int64: 1 for tokens, 0 for padding.
        present: (B, 2) bool: has a picture, has a title.
        ngrams: (B, G) int64, see :mod:`product_serving.titles.ngrams`, padded with 0.
    """

    image: NDArray[np.uint8]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    present: NDArray[np.bool_]
    ngrams: NDArray[np.int64]

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> "Batch":
        """Some products of the batch; titles are padded to the longest of them."""
        longest, most = (_read_columns(ids) for ids in (self.attention_mask[rows], self.ngrams[rows]))
        return Batch(
            self.image[rows],
            self.input_ids[rows, :longest],
            self.attention_mask[rows, :longest],
            self.present[rows],
            self.ngrams[rows, :most],
        )


def _read_columns(ids: NDArray[np.int64]) -> int:
    """The number of columns up to the last one that is not padding; at least 1."""
    return 1 + int(np.flatnonzero(ids.any(axis=0)).max(initial=0))


class Outputs(NamedTuple):
    """What an engine computes of a batch.

    Args:
        logits: (B, C) float32.
        agreement: (B,) float32, the log of the probability that picture and title, each read alone, name the same
            class of the main attribute. Only of products with both, in a fusion; for others it means nothing.
    """

    logits: NDArray[np.float32]
    agreement: NDArray[np.float32]


class Parts(NamedTuple):
    """A graph in parts: on NumPy arrays, or on another library's.

    Args:
        cells: (B, 3, H, W) pixels -> (B, N, D) features of the picture cells, row by row.
        tokens: (B, T) ids and (B, T) mask -> (B, T, D) features of the tokens.
        lexical: (B, G) ids -> (B, D) feature of the title's letters.
        classify: (B, N, D) cells, (B, T, D) tokens, (B, T) mask, (B, 2) presence and (B, D) lexical feature ->
            (B, C) logits and (B,) agreement, see :class:`Outputs`.
    """

    cells: Callable[[Any], Any]
    tokens: Callable[[Any, Any], Any]
    lexical: Callable[[Any], Any]
    classify: Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]


def no_features(*_: Any) -> NDArray[np.float32]:
    """A part that the graph lacks, such as the picture's tower of a text model: an empty array."""
    return np.empty(0, dtype=np.float32)


class Engine(Protocol):
    """Computes the graph; :mod:`product_serving.engines.table` gives each engine its name.

    Args:
        tolerance: largest allowed difference of a score from the trained model's.
    """

    tolerance: float

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""

    def outputs(self, batch: Batch) -> Outputs:
        """A batch -> all that the graph tells of it."""

    def parts(self) -> Parts:
        """The same graph in parts, in fp32 and on NumPy arrays, for explanations."""


class EngineError(RuntimeError):
    """An engine cannot run on this machine, or no engine gives the expected answers."""
