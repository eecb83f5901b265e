"""What training minimises and by what the best epoch is chosen, of one target or of several attributes at once.

Legend: N products, A attributes, C classes, those of all attributes one behind the other.
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
    """The loss and the score of a model's logits.

    The loss is the sum over attributes of weight times cross-entropy; the target's weight is 1. A product without a
    value adds nothing to its batch's mean, so that every label counts alike, and processes that share a batch agree. An
    epoch is judged by the mean over the attributes: one set of weights serves all of them, and a mean depends less on
    the chance of an epoch than any one of them does.

    Args:
        label_smoothing: of the cross-entropy.
        sizes: classes of each attribute, the target's first; empty for a target alone.
        weights: of each attribute in the loss.
    """

    label_smoothing: float = 0.05
    sizes: Sequence[int] = ()
    weights: Sequence[float] = ()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(N, C), and (N,) or with several attributes (N, A) where ``MISSING`` stands for no value -> ()."""
        if not self.sizes:
            return nn.functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        total = torch.zeros((), device=logits.device)
        parts = zip(torch.split(logits, list(self.sizes), dim=1), targets.unbind(1), self.weights, strict=True)
        for part, truth, weight in parts:
            losses = nn.functional.cross_entropy(
                part, truth, label_smoothing=self.label_smoothing, ignore_index=MISSING, reduction="sum"
            )
            total = total + weight * losses / len(truth)
        return total

    def judged(self, logits: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, float]:
        """Accuracy and macro-F1, means over the attributes; one that no product has is left out.

        Args:
            logits: (N, C).
            targets: as in :meth:`loss`.
        """
        parts = list(self._parts(logits, targets)) if self.sizes else [(logits, targets)]
        scores = [
            (accuracy(truth, part.argmax(1)), macro_f1(truth, part.argmax(1), classes=part.shape[1]))
            for part, truth in parts
        ]
        right, f1 = zip(*scores, strict=True)
        return float(np.mean(right)), float(np.mean(f1))

    def _parts(
        self, logits: NDArray[np.float32], targets: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Of each attribute the logits and the classes of the products that have it."""
        for part, truth in zip(np.split(logits, np.cumsum(self.sizes)[:-1], axis=1), targets.T, strict=True):
            if (rows := np.flatnonzero(truth != MISSING)).size:
                yield part[rows], truth[rows]
