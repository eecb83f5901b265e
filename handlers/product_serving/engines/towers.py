"""Compute each tower only for the products that have something for it to read, then the head for all.

Legend: B batch, N picture cells, T title tokens, D width of an encoder.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, Outputs, Parts, no_features

Zeros = Callable[[Sequence[int]], Any]


def zeros(shape: Sequence[int]) -> NDArray[np.float32]:
    """A float32 array of zeros."""
    return np.zeros(shape, dtype=np.float32)


class Towers:
    """The parts of a graph as a whole.

    Args:
        parts: of the graph; :func:`product_serving.engines.engine.no_features` for a tower that it lacks.
        zeros: makes float32 arrays of the parts' library.
    """

    def __init__(self, parts: Parts, zeros: Zeros = zeros) -> None:
        self._parts, self._zeros = parts, zeros
        titles = {parts.tokens, parts.lexical} - {no_features}
        # A model of one modality reads it always: without it there is no product.
        self._fusion = parts.cells is not no_features and bool(titles)
        self._widths: dict[str, tuple[int, ...]] = {}

    def __call__(self, batch: Batch) -> tuple[Any, Any]:
        """A batch -> logits (B, C) and agreement (B,), in arrays of the parts' library."""
        there = batch.present if self._fusion else np.ones_like(batch.present)
        pictures, titles = (np.flatnonzero(column) for column in there.T)
        cells = self._features("cells", pictures, batch.image)
        tokens = self._features("tokens", titles, batch.input_ids, batch.attention_mask)
        lexical = self._features("lexical", titles, batch.ngrams)
        return self._parts.classify(cells, tokens, batch.attention_mask, batch.present, lexical)

    def _features(self, name: str, rows: NDArray[np.int64], *inputs: NDArray[Any]) -> Any:
        """Features of all products: computed for some rows, zeros for the others, which the head does not read."""
        part, count = getattr(self._parts, name), len(inputs[0])
        if part is no_features or len(rows) == count:
            return part(*inputs)
        if not len(rows):
            return self._zeros((count, *self._shape(name, part, inputs)))
        features = part(*(array[rows] for array in inputs))
        spread = self._zeros((count, *features.shape[1:]))
        spread[rows] = features
        return spread

    def _shape(self, name: str, part: Callable[..., Any], inputs: Sequence[NDArray[Any]]) -> tuple[int, ...]:
        """The shape of one product's features, found once with an empty product; that of tokens depends on T."""
        if name not in self._widths:
            empty = [np.zeros_like(array[:1]) for array in inputs]
            empty[-1] = np.ones_like(empty[-1])  # attention over no token would divide by zero
            self._widths[name] = tuple(part(*empty).shape[1:])
        width = self._widths[name]
        return (inputs[0].shape[1], width[-1]) if name == "tokens" else width


class TowerEngine:
    """An engine that computes the parts of its graph on NumPy arrays."""

    tolerance: float
    _towers: Towers

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self.outputs(batch).logits

    def outputs(self, batch: Batch) -> Outputs:
        """A batch -> :class:`Outputs`."""
        return Outputs(*self._towers(batch))
