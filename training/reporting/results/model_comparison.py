"""Compare models over runs: mean and standard deviation of every metric, and a verdict on every pair of models."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.reporting.results.model_names import BASELINE, MAJORITY, in_report_order
from training.reporting.results.run_results import RunResults, common_models
from training.scores.metrics import Bootstrap, RunPredictions, paired_bootstrap, summarize, summarize_labels, verdict

INTERVAL = (0.025, 0.975)
Metric = Literal["accuracy", "macro_f1"]
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1")


@dataclasses.dataclass(frozen=True)
class ModelComparison:
    """The metrics of all models, and the verdicts on their differences.

    Args:
        numbers: by model and metric ``{"mean", "std", "runs"}``; ``std`` is the sample's, None for a single run.
            Accuracy and macro-F1 also have ``{"low", "high"}``, the 95 % interval of their mean.
        verdicts: for each pair ``{"model", "other", "accuracy", "macro_f1"}``; for each metric ``{"mean", "low",
            "high", "runs", "verdict"}`` of the difference: ``model`` minus ``other``.
    """

    numbers: dict[str, dict[str, Any]]
    verdicts: list[dict[str, Any]]


def compare_models(runs: Sequence[RunResults]) -> ModelComparison:
    """Compare every model that all runs have with every other one and with the baseline.

    The intervals come from one paired bootstrap over groups of related products.
    """
    models = [name for name in common_models(runs) if name in runs[0].models]
    names = [*in_report_order(models), BASELINE, MAJORITY]
    boot = paired_bootstrap(
        [
            RunPredictions(
                run.truth, np.stack([run.answers[name].predicted for name in names]), groups, len(run.labels)
            )
            for run, groups in zip(runs, shared_groups(runs), strict=True)
        ]
    )
    verdicts = [
        {
            "model": names[model],
            "other": names[other],
            **{metric: _judged(boot, metric, model, other) for metric in METRICS},
        }
        for model, other in itertools.combinations(range(len(names) - 1), 2)
    ]
    return ModelComparison(
        {name: _numbers(runs, name, boot, names.index(name)) for name in common_models(runs)}, verdicts
    )


def shared_groups(runs: Sequence[RunResults]) -> list[NDArray[np.int64]]:
    """The groups (N,) of each run, renumbered: groups with a product in common are one group.

    A product that two seeds test is one observation, not two.
    """
    own = [np.unique(run.groups, return_inverse=True)[1] for run in runs]
    offsets = np.cumsum([0, *(groups.max() + 1 for groups in own)])
    groups = np.concatenate([numbers + offset for numbers, offset in zip(own, offsets, strict=False)])
    _, products = np.unique(np.concatenate([run.ids for run in runs]), return_inverse=True)
    nodes = int(offsets[-1] + products.max() + 1)
    links = coo_array((np.ones(len(groups)), (groups, offsets[-1] + products)), shape=(nodes, nodes))
    _, component = connected_components(links, directed=False)
    ends = np.cumsum([len(run.ids) for run in runs])
    return np.split(component[groups].astype(np.int64), ends[:-1])


def mean_and_std(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation of a sample, and the values themselves."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation, "runs": list(values)}


def signed_points(difference: float) -> str:
    """A difference of shares in points, with a minus sign as wide as the plus sign; never "-0.0"."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "−")


def _numbers(runs: Sequence[RunResults], name: str, boot: Bootstrap, model: int) -> dict[str, Any]:
    summaries = [_summary(run, name) for run in runs]
    numbers = {metric: mean_and_std([summary[metric] for summary in summaries]) for metric in summaries[0]}
    for metric in METRICS:
        numbers[metric] |= _interval(boot.drawn[metric][:, model], numbers[metric]["mean"])
    return numbers


def _interval(drawn: NDArray[np.float64], observed: float) -> dict[str, float]:
    """The percentile interval of (D,) draws, corrected for bias (Efron & Tibshirani 1993, chapter 10).

    Many resamples lack a class of few products, so most draws have a higher macro-F1 than observed. Without the
    correction, the interval may not contain the observed value.
    """
    low, high = np.quantile(drawn, INTERVAL) - (drawn.mean() - observed)
    return {"low": float(max(low, 0)), "high": float(min(high, 1))}


def _summary(run: RunResults, name: str) -> dict[str, Any]:
    answers = run.answers[name]
    if answers.probabilities is None:
        return summarize_labels(answers.predicted, run.truth, run.labels)
    return summarize(answers.probabilities, run.truth, run.labels)


def _judged(boot: Bootstrap, metric: Metric, model: int, other: int) -> dict[str, Any]:
    difference = boot.difference(metric, model, other)
    return dataclasses.asdict(difference) | {"runs": list(difference.runs), "verdict": verdict(difference)}
