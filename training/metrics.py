"""The numbers of a comparison: how often a model is right, how well it knows, and whether a difference is one.

Legend: N products, C classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

ECE_BINS = 15
PRECISION_TARGET = 0.95
FREQUENT = 5
BOOTSTRAP_DRAWS = 10_000
MIN_GAIN = 0.003

Classes = NDArray[np.int64]
Probabilities = NDArray[np.float32] | NDArray[np.float64]


def accuracy(truth: Classes, predicted: Classes) -> float:
    """Share of (N,) predictions that equal the truth."""
    return float(np.mean(truth == predicted))


def macro_f1(truth: Classes, predicted: Classes, *, classes: int, min_count: int = 1) -> float:
    """Mean F1 over the classes with at least ``min_count`` products; a class never predicted counts 0.

    Args:
        truth: (N,).
        predicted: (N,).
        classes: C.
        min_count: products of a class in ``truth``, at least; 1 leaves out classes that are not there.
    """
    frequent = np.flatnonzero(np.bincount(truth, minlength=classes) >= min_count)
    if len(frequent) == 0:
        return 0.0
    return float(f1_score(truth, predicted, labels=frequent, average="macro", zero_division=0))


def expected_calibration_error(probabilities: Probabilities, truth: Classes, *, bins: int = ECE_BINS) -> float:
    """Mean distance of confidence and accuracy over equal-width bins, weighted by their products.

    Naeini et al. 2015 (AAAI), as used by Guo et al. 2017 (arXiv:1706.04599).
    """
    shares, confidences, accuracies = reliability(probabilities, truth, bins=bins)
    return float(np.sum(shares * np.abs(confidences - accuracies)))


def reliability(
    probabilities: Probabilities, truth: Classes, *, bins: int = ECE_BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Share of the products, mean confidence and accuracy by bin of confidence: three times (bins,), 0 where empty."""
    confidence, right = _confidence(probabilities, truth)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(which, minlength=bins)
    safe = np.maximum(counts, 1)
    confidences = np.bincount(which, weights=confidence, minlength=bins) / safe
    accuracies = np.bincount(which, weights=right, minlength=bins) / safe
    return counts / len(truth), confidences, accuracies


def brier_score(probabilities: Probabilities, truth: Classes) -> float:
    """Mean squared distance of the probabilities and the one-hot truth, 0..2 (Brier 1950)."""
    errors = probabilities.astype(np.float64).copy()
    errors[np.arange(len(truth)), truth] -= 1
    return float(np.mean(np.sum(errors**2, axis=1)))


def risk_coverage(probabilities: Probabilities, truth: Classes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error rate among the most confident answers, for each share of the products that is answered: two times (N,).

    Geifman & El-Yaniv 2017 (arXiv:1705.08500). Equal confidences stand in the order of the products.
    """
    confidence, right = _confidence(probabilities, truth)
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(truth) + 1)
    return answered / len(truth), np.cumsum(1 - right[order]) / answered


def coverage_at_precision(
    probabilities: Probabilities, truth: Classes, *, precision: float = PRECISION_TARGET
) -> float:
    """The largest share of products that can be answered, the most confident first, with that precision."""
    coverage, risk = risk_coverage(probabilities, truth)
    enough = np.flatnonzero(1 - risk >= precision)
    return float(coverage[enough[-1]]) if len(enough) else 0.0


def summarize(probabilities: Probabilities, truth: Classes, labels: Sequence[str]) -> dict[str, Any]:
    """All numbers of one model, JSON-able.

    Args:
        probabilities: (N, C), calibrated.
        truth: (N,).
        labels: C names.
    """
    _, risk = risk_coverage(probabilities, truth)
    return {
        **summarize_labels(probabilities.argmax(1), truth, labels),
        "ece": expected_calibration_error(probabilities, truth),
        "brier": brier_score(probabilities, truth),
        "area_under_risk_coverage": float(risk.mean()),
        "coverage_at_95_precision": coverage_at_precision(probabilities, truth),
    }


def summarize_labels(predicted: Classes, truth: Classes, labels: Sequence[str]) -> dict[str, Any]:
    """The numbers of a model that gives no probabilities, JSON-able."""
    counts = np.bincount(truth, minlength=len(labels))
    return {
        "products": len(truth),
        "accuracy": accuracy(truth, predicted),
        "macro_f1": macro_f1(truth, predicted, classes=len(labels)),
        "classes": int((counts > 0).sum()),
        "macro_f1_frequent": macro_f1(truth, predicted, classes=len(labels), min_count=FREQUENT),
        "classes_frequent": int((counts >= FREQUENT).sum()),
    }


@dataclasses.dataclass(frozen=True)
class Difference:
    """Accuracy of one model minus that of another, on the same products.

    Args:
        mean: over the products.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def paired_bootstrap(
    right: NDArray[np.bool_],
    other_right: NDArray[np.bool_],
    groups: Classes,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
) -> Difference:
    """Bootstrap a difference of accuracies over groups, because products of a group are not independent.

    Args:
        right: (N,) whether the model is right.
        other_right: (N,) whether the other one is.
        groups: (N,) group of each product.
        draws: resamples.
        seed: of the draws.
    """
    _, which = np.unique(groups, return_inverse=True)
    sizes = np.bincount(which).astype(np.float64)
    gains = np.bincount(which, weights=right.astype(np.float64) - other_right)
    random = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        chosen = random.integers(0, len(sizes), len(sizes))
        means[draw] = gains[chosen].sum() / sizes[chosen].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(gains.sum() / sizes.sum()), float(low), float(high))


def verdict(differences: Sequence[Difference]) -> str:
    """``better``, ``worse`` or ``tie`` from one difference a seed.

    Better: in most seeds the interval excludes 0 on the right side, and the mean gain is at least .3 points.
    """
    mean = float(np.mean([difference.mean for difference in differences]))
    sign = 1 if mean > 0 else -1
    clear = sum(min(sign * difference.low, sign * difference.high) > 0 for difference in differences)
    if abs(mean) < MIN_GAIN or clear <= len(differences) / 2:
        return "tie"
    return "better" if sign > 0 else "worse"


def _confidence(probabilities: Probabilities, truth: Classes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) top score, and (N,) 1 where the top class is right."""
    right = probabilities.argmax(1) == truth
    return probabilities.max(1).astype(np.float64), right.astype(np.float64)
