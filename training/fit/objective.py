"""The loss of training, and the scores that choose the best epoch.

Legend: N products, A attributes, C classes of all attributes, concatenated.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.attributes import MISSING
from training.scores.metrics import accuracy, macro_f1


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss and the scores of a model's logits.

    The loss is the weighted sum of the cross-entropies of all attributes. A missing value adds 0 to the sum over the
    batch, which is divided by the number of products. So every label has the same weight, also if several processes
    share a batch. The scores are means over the attributes, which vary less from epoch to epoch than one attribute.

    Args:
        sizes: (A,) number of classes of each attribute; C is their sum.
        weights: (A,) weight of each attribute in the loss.
        label_smoothing: of the cross-entropy.
    """

    sizes: Sequence[int]
    weights: Sequence[float]
    label_smoothing: float = 0.05

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (N, C), targets (N, A) with ``MISSING`` for no value -> ()."""
        total = torch.zeros((), device=logits.device)
        parts = zip(torch.split(logits, list(self.sizes), dim=1), targets.unbind(1), self.weights, strict=True)
        for part, truth, weight in parts:
            losses = nn.functional.cross_entropy(
                part, truth, label_smoothing=self.label_smoothing, ignore_index=MISSING, reduction="sum"
            )
            total = total + weight * losses / len(truth)
        return total

    def scores(self, logits: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, float]:
        """Accuracy and macro-F1, means over the attributes. An attribute without any value is left out.

        Args:
            logits: (N, C).
            targets: (N, A).
        """
        scores = [
            (accuracy(truth, part.argmax(1)), macro_f1(truth, part.argmax(1), classes=part.shape[1]))
            for part, truth in self._parts(logits, targets)
        ]
        right, f1 = zip(*scores, strict=True)
        return float(np.mean(right)), float(np.mean(f1))

    def _parts(
        self, logits: NDArray[np.float32], targets: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """For each attribute, the logits and the classes of the products with a value."""
        for part, truth in zip(np.split(logits, np.cumsum(self.sizes)[:-1], axis=1), targets.T, strict=True):
            if (rows := np.flatnonzero(truth != MISSING)).size:
                yield part[rows], truth[rows]
