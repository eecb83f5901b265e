"""How two models differ in each class, on the same products: F1 with intervals from a paired bootstrap.

Legend: N products, C classes, G groups, D bootstrap draws.
"""

from typing import NamedTuple

import numpy as np

from training.scores.metrics import BOOTSTRAP_DRAWS, FREQUENT, MIN_DIFFERENCE, RunPredictions, class_counts, resamples

INTERVAL = (0.025, 0.975)


class ClassDifference(NamedTuple):
    """One class.

    Args:
        place: of the class.
        products: number of its products.
        before: F1 of the other model, 0..1.
        now: F1 of the model.
        low, high: the 95 % interval of the difference; None with fewer than ``FREQUENT`` products.
    """

    place: int
    products: int
    before: float
    now: float
    low: float | None = None
    high: float | None = None

    @property
    def difference(self) -> float:
        """``now`` minus ``before``."""
        return self.now - self.before

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``tie`` as in :func:`training.scores.metrics.verdict`; "" without an interval."""
        if self.low is None or self.high is None:
            return ""
        clear = self.low > 0 or self.high < 0
        if not clear or abs(self.difference) < MIN_DIFFERENCE:
            return "tie"
        return "better" if self.difference > 0 else "worse"


def class_differences(run: RunPredictions, *, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> list[ClassDifference]:
    """The classes with products or answers, those that changed most upwards first.

    Args:
        run: predictions of two models, (2, N): the model, then the other one.
    """
    groups = int(run.groups.max()) + 1
    support, answers, hits = (each[..., 0] for each in class_counts(run, np.ones((groups, 1))))
    f1 = 2 * hits / np.maximum(support + answers, 1)  # (2, C)
    drawn = []
    for weights in resamples(groups, draws=draws, seed=seed):
        own, answered, right = class_counts(run, weights)
        each = 2 * right / np.maximum(own + answered, 1)
        drawn.append(each[0] - each[1])
    low, high = np.quantile(np.concatenate(drawn, axis=1), INTERVAL, axis=1)
    found = []
    for place in np.flatnonzero(support + answers.sum(0) > 0):
        interval = (float(low[place]), float(high[place])) if support[place] >= FREQUENT else (None, None)
        found.append(
            ClassDifference(int(place), int(support[place]), float(f1[1, place]), float(f1[0, place]), *interval)
        )
    return sorted(found, key=lambda each: (-each.difference, each.place))
