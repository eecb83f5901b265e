"""Metrics of a model: accuracy, calibration, selective prediction; and the significance of a difference of two models.

Legend: N products, C classes, M models, R runs (seeds or folds), G groups, D bootstrap draws.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.metrics import f1_score

from training.system.progress import progress

ECE_BINS = 15
PRECISION_TARGET = 0.95
FREQUENT = 5
BOOTSTRAP_DRAWS = 10_000
MIN_DIFFERENCE = 0.003
DRAWS_AT_ONCE = 500
ROUNDING = 1e-9

Classes = NDArray[np.int64]
Probabilities = NDArray[np.float32] | NDArray[np.float64]


def accuracy(truth: Classes, predicted: Classes) -> float:
    """The share of correct predictions; both arguments are (N,)."""
    return float(np.mean(truth == predicted))


def macro_f1(truth: Classes, predicted: Classes, *, classes: int, min_count: int = 1) -> float:
    """Mean F1 over the classes with at least ``min_count`` products; a class that is never predicted counts as 0.

    Args:
        truth: (N,).
        predicted: (N,).
        classes: C.
        min_count: least number of products of a class in ``truth``; 1 leaves out classes without products.
    """
    frequent = np.flatnonzero(np.bincount(truth, minlength=classes) >= min_count)
    if len(frequent) == 0:
        return 0.0
    return float(f1_score(truth, predicted, labels=frequent, average="macro", zero_division=0))


def expected_calibration_error(probabilities: Probabilities, truth: Classes, *, bins: int = ECE_BINS) -> float:
    """Mean difference of confidence and accuracy over bins of equal width, weighted by their number of products.

    Naeini et al. 2015 (AAAI), as used by Guo et al. 2017 (arXiv:1706.04599).
    """
    shares, confidences, accuracies = reliability(probabilities, truth, bins=bins)
    return float(np.sum(shares * np.abs(confidences - accuracies)))


def reliability(
    probabilities: Probabilities, truth: Classes, *, bins: int = ECE_BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Share of the products, mean confidence and accuracy of each confidence bin: three (bins,) arrays, 0 if empty.

    The bins have equal width. A bin includes its lower edge; the last bin also includes 1.
    """
    confidence, right = _confidence(probabilities, truth)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(which, minlength=bins)
    safe = np.maximum(counts, 1)
    confidences = np.bincount(which, weights=confidence, minlength=bins) / safe
    accuracies = np.bincount(which, weights=right, minlength=bins) / safe
    return counts / len(truth), confidences, accuracies


def brier_score(probabilities: Probabilities, truth: Classes) -> float:
    """Mean squared distance between the probabilities and the one-hot truth, 0..2 (Brier 1950)."""
    errors = probabilities.astype(np.float64).copy()
    errors[np.arange(len(truth)), truth] -= 1
    return float(np.mean(np.sum(errors**2, axis=1)))


def risk_coverage(probabilities: Probabilities, truth: Classes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The risk-coverage curve (Geifman & El-Yaniv 2017, arXiv:1705.08500).

    Products with equal confidence count their mean error, so that the order of the products does not matter.

    Returns:
        Coverage (N,), the share of the products that is answered, and the error rate (N,) among these answers.
    """
    coverage, precision, _ = precision_by_confidence(probabilities, truth)
    return coverage, np.maximum(1 - precision, 0)


def area_under_risk_coverage(probabilities: Probabilities, truth: Classes) -> float:
    """Mean risk over all coverages, 0..1; small if wrong answers have low confidence."""
    return float(risk_coverage(probabilities, truth)[1].mean())


def precision_by_confidence(
    probabilities: Probabilities, truth: Classes
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The precision of the n most confident answers, for each n.

    Returns:
        Three (N,) arrays: the share of the products that is answered; the precision of these answers; and bool, True
        if the next answer is less confident, so that a threshold can lie there. Products with equal confidence count
        their mean precision.
    """
    confidence, right = _confidence(probabilities, truth)
    _, which = np.unique(-confidence, return_inverse=True)
    shared = np.bincount(which, weights=right) / np.bincount(which)
    which = np.sort(which)
    answered = np.arange(1, len(truth) + 1)
    return answered / len(truth), np.cumsum(shared[which]) / answered, np.append(np.diff(which) > 0, True)


def coverage_at_precision(
    probabilities: Probabilities, truth: Classes, *, precision: float = PRECISION_TARGET
) -> float:
    """The largest share of the products that a confidence threshold answers with this precision; 0 if there is none."""
    coverage, precisions, last = precision_by_confidence(probabilities, truth)
    enough = np.flatnonzero((precisions >= precision - ROUNDING) & last)
    return float(coverage[enough[-1]]) if len(enough) else 0.0


def summarize(probabilities: Probabilities, truth: Classes, labels: Sequence[str]) -> dict[str, Any]:
    """All metrics of one model, JSON-able.

    Args:
        probabilities: (N, C), calibrated.
        truth: (N,).
        labels: C names.
    """
    return {
        **summarize_labels(probabilities.argmax(1), truth, labels),
        "ece": expected_calibration_error(probabilities, truth),
        "brier": brier_score(probabilities, truth),
        "area_under_risk_coverage": area_under_risk_coverage(probabilities, truth),
        "coverage_at_95_precision": coverage_at_precision(probabilities, truth),
    }


def summarize_labels(predicted: Classes, truth: Classes, labels: Sequence[str]) -> dict[str, Any]:
    """The metrics of a model without probabilities, JSON-able."""
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
class RunPredictions:
    """The predictions of M models in one run (a seed or a fold).

    Args:
        truth: (N,).
        predicted: (M, N).
        groups: (N,) numbers; products with the same number are drawn together, within and across runs.
        classes: C.
    """

    truth: Classes
    predicted: Classes
    groups: Classes
    classes: int


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of one model minus that of another, on the same products.

    Args:
        mean: over the runs.
        low: lower end of the 95 % interval for ``mean``.
        high: its upper end.
        runs: (R,) the difference in each run.
    """

    mean: float
    low: float
    high: float
    runs: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """Metrics of all models, observed and in every draw. The models share the draws, so differences are paired.

    Args:
        observed: by metric, (R, M).
        drawn: by metric, (D, M), means over the runs.
    """

    observed: dict[str, NDArray[np.float64]]
    drawn: dict[str, NDArray[np.float64]]

    def difference(self, metric: Literal["accuracy", "macro_f1"], model: int, other: int) -> Difference:
        """``model`` minus ``other``, numbered as in :attr:`RunPredictions.predicted`, with a percentile interval."""
        runs = self.observed[metric][:, model] - self.observed[metric][:, other]
        low, high = np.quantile(self.drawn[metric][:, model] - self.drawn[metric][:, other], [0.025, 0.975])
        return Difference(float(runs.mean()), float(low), float(high), tuple(map(float, runs)))


def paired_bootstrap(runs: Sequence[RunPredictions], *, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> Bootstrap:
    """Score all models on the same bootstrap resamples. Whole groups are drawn: their products are not independent.

    A draw takes G groups with replacement; a drawn group brings its products in every run.

    Args:
        runs: with the same models in the same order.
        draws: D.
    """
    names, which = np.unique(np.concatenate([run.groups for run in runs]), return_inverse=True)
    ends = np.cumsum([len(run.truth) for run in runs])
    numbered = [
        dataclasses.replace(run, groups=groups) for run, groups in zip(runs, np.split(which, ends[:-1]), strict=True)
    ]
    observed = np.stack([_scores(run, np.ones((len(names), 1)))[:, 0] for run in numbered], axis=1)  # (2, R, M)
    drawn = [
        np.mean([_scores(run, weights) for run in numbered], axis=0)  # (2, D', M)
        for weights in progress(
            resamples(len(names), draws=draws, seed=seed),
            description="bootstrap",
            unit="draws",
            total=-(-draws // DRAWS_AT_ONCE),
            delay=1,
        )
    ]
    metrics = ("accuracy", "macro_f1")
    return Bootstrap(
        dict(zip(metrics, observed, strict=True)), dict(zip(metrics, np.concatenate(drawn, axis=1), strict=True))
    )


def verdict(difference: Difference) -> str:
    """``better``, ``worse`` or ``tie``.

    ``tie`` unless the interval excludes 0, most runs have the sign of the mean, and the mean is at least
    ``MIN_DIFFERENCE``.
    """
    sign = 1 if difference.mean > 0 else -1
    clear = min(sign * difference.low, sign * difference.high) > 0
    holds = sum(sign * run > 0 for run in difference.runs) > len(difference.runs) / 2
    if not clear or not holds or abs(difference.mean) < MIN_DIFFERENCE:
        return "tie"
    return "better" if sign > 0 else "worse"


def resamples(groups: int, *, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each group is drawn: blocks (G, D') of at most ``DRAWS_AT_ONCE`` draws."""
    random = np.random.default_rng(seed)
    for start in range(0, draws, DRAWS_AT_ONCE):
        count = min(DRAWS_AT_ONCE, draws - start)
        chosen = random.integers(0, groups, (count, groups)) + groups * np.arange(count)[:, None]
        yield np.bincount(chosen.ravel(), minlength=count * groups).reshape(count, groups).T.astype(np.float64)


def class_counts(
    run: RunPredictions, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Products by class in each draw, with (G, D) weights of the groups.

    Returns:
        Products of the class (C, D), answers of the class (M, C, D), and right ones among these (M, C, D).
    """

    def count(classes: Classes, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        amounts = np.ones(len(run.truth)) if chosen is None else chosen.astype(np.float64)
        table = csr_array((amounts, (classes, run.groups)), shape=(run.classes, len(weights)))
        return np.asarray(table @ weights)  # (C, D)

    answers = np.stack([count(predicted) for predicted in run.predicted])
    hits = np.stack([count(run.truth, predicted == run.truth) for predicted in run.predicted])
    return count(run.truth), answers, hits


def _scores(run: RunPredictions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracy and macro-F1 of each model, (2, D, M), with (G, D) weights of the groups."""
    support, answers, hits = class_counts(run, weights)
    there = support > 0
    f1 = 2 * hits / np.maximum(support + answers, 1)
    accuracies = hits.sum(1) / np.maximum(support.sum(0), 1)
    macro = np.where(there, f1, 0).sum(1) / np.maximum(there.sum(0), 1)
    return np.stack([accuracies.T, macro.T])


def _confidence(probabilities: Probabilities, truth: Classes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) top score, and (N,) 1 if the top class is right, else 0."""
    right = probabilities.argmax(1) == truth
    return probabilities.max(1).astype(np.float64), right.astype(np.float64)
