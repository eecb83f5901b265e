"""The interface of an engine: a batch in, logits out; or the graph in its parts, for explanations.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, C classes.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

EXACT = 1e-3  # of a score, for an engine that computes in fp32
NOTHING = np.empty(0, dtype=np.float32)


class Batch(NamedTuple):
    """A batch of products by the graph's input names, titles padded to the longest.

    Args:
        image: (B, 3, H, W) uint8.
        input_ids: (B, T) int64, 0 where padded.
        attention_mask: (B, T) int64, 0 where padded.
        present: (B, 2) bool: picture, title.
    """

    image: NDArray[np.uint8]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    present: NDArray[np.bool_]


class Parts(Protocol):
    """A graph in its three parts, so that an explanation can change what lies between them.

    A part that the graph lacks, such as the picture's tower in a model of titles, answers an empty array.
    """

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, 3, H, W) -> (B, N, D), the picture's cells row by row."""

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """(B, T), (B, T) -> (B, T, D)."""

    def classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Features, mask and (B, 2) -> logits (B, C)."""


class Engine(Protocol):
    """Something that computes a graph; :mod:`product_serving.engines.table` gives each its name.

    Args:
        tolerance: how far its scores may lie from those of the trained model.
    """

    tolerance: float

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""

    def parts(self) -> Parts:
        """The same graph in parts, loaded when this is called: a worker that explains nothing does not pay for it."""


class EngineError(RuntimeError):
    """An engine cannot run here, or none gives the expected answers."""
