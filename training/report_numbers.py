"""The numbers of a report: every metric as mean and spread over the runs, and a verdict on every pair of models."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.metrics import Answers, Bootstrap, paired_bootstrap, summarize, summarize_labels, verdict
from training.report_runs import BASELINE, RunResults, common_models


def model_numbers(runs: Sequence[RunResults]) -> dict[str, dict[str, Any]]:
    """Every metric of every model.

    Returns:
        By model and metric ``{"mean", "std", "runs"}``; ``std`` is that of a sample, None for a single run.
    """
    numbers: dict[str, dict[str, Any]] = {}
    for name in common_models(runs):
        summaries = [_summary(run, name) for run in runs]
        numbers[name] = {metric: _spread([summary[metric] for summary in summaries]) for metric in summaries[0]}
    return numbers


def pair_verdicts(runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Every model against every other one, the last of them first, and against the baseline.

    Returns:
        ``{"model", "other", "accuracy", "macro_f1"}`` a pair; by metric ``{"mean", "low", "high", "runs", "verdict"}``,
        where the numbers are those of ``model`` minus those of ``other``.
    """
    models = [name for name in common_models(runs) if name in runs[0].models]
    names = [*reversed(models), BASELINE]
    boot = paired_bootstrap(
        [
            Answers(run.truth, np.stack([run.answers[name].predicted for name in names]), groups, len(run.labels))
            for run, groups in zip(runs, shared_groups(runs), strict=True)
        ]
    )
    return [
        {
            "model": names[model],
            "other": names[other],
            "accuracy": _judged(boot, "accuracy", model, other),
            "macro_f1": _judged(boot, "macro_f1", model, other),
        }
        for model, other in itertools.combinations(range(len(names)), 2)
    ]


def shared_groups(runs: Sequence[RunResults]) -> list[NDArray[np.int64]]:
    """The (N,) groups of each run, renumbered so that groups which have a product in common are one.

    A product that two seeds test is one observation and not two.
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


def _summary(run: RunResults, name: str) -> dict[str, Any]:
    answers = run.answers[name]
    if answers.probabilities is None:
        return summarize_labels(answers.predicted, run.truth, run.labels)
    return summarize(answers.probabilities, run.truth, run.labels)


def _spread(values: list[float]) -> dict[str, Any]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation, "runs": values}


def _judged(boot: Bootstrap, metric: Literal["accuracy", "macro_f1"], model: int, other: int) -> dict[str, Any]:
    difference = boot.difference(metric, model, other)
    return {
        "mean": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "runs": list(difference.runs),
        "verdict": verdict(difference),
    }
