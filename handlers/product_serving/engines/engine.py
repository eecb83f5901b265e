"""The interface of engines: a batch -> logits; and the graph in parts, for explanations.

Legend: B batch, N picture cells, T title tokens, G ids of a title's letters, D width of an encoder, C classes.
"""

import os
import weakref
from collections.abc import Callable
from pathlib import Path
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


class Parts(NamedTuple):
    """A graph in parts, so that an explanation can change the features between them.

    Args:
        cells: (B, 3, H, W) pixels -> (B, N, D) features of the picture cells, row by row.
        tokens: (B, T) ids and (B, T) mask -> (B, T, D) features of the tokens.
        lexical: (B, G) ids -> (B, D) feature of the title's letters.
        classify: (B, N, D) cells, (B, T, D) tokens, (B, T) mask, (B, 2) presence and (B, D) lexical feature -> (B, C)
            logits.
    """

    cells: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    tokens: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
    lexical: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    classify: Callable[
        [NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]],
        NDArray[np.float32],
    ]


def no_features(*_: NDArray[Any]) -> NDArray[np.float32]:
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

    def parts(self) -> Parts:
        """Load the same graph in parts. A worker that explains nothing never calls this and saves the memory."""


class KeptFiles:
    """The graphs of an archive, which explanations read again later. They stay open, so that they can be read even
    after they were deleted: archives are unpacked into a temporary folder, and many systems delete old files there.

    Args:
        folder: holds ``model.pt`` and the ``model*.onnx`` that share its weights.
    """

    def __init__(self, folder: Path) -> None:
        files = (path for path in folder.glob("model*") if path.is_file())
        self._descriptors = {path.name: os.open(path, os.O_RDONLY) for path in files}
        for descriptor in self._descriptors.values():
            weakref.finalize(self, os.close, descriptor)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file, or some of them."""
        descriptor = self._descriptors[name]
        return os.pread(descriptor, os.fstat(descriptor).st_size if length is None else length, offset)

    def path(self, name: str) -> Path:
        """Where a library can open a file."""
        return Path(f"/proc/self/fd/{self._descriptors[name]}")


class EngineError(RuntimeError):
    """An engine cannot run on this machine, or no engine gives the expected answers."""
