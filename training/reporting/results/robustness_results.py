"""Read the robustness of runs: the scores of every model, in every run, under every condition."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.conditions import CLEAN
from training.evaluation.robustness import ROBUSTNESS_FILE
from training.reporting.results.run_results import RunResults
from training.run.checkpoint import RunError

METRICS = {"accuracy": "accuracy", "macro_f1_frequent": "macro-F1"}


@dataclasses.dataclass(frozen=True)
class ConditionScores:
    """The scores of all models under one condition.

    Args:
        kind: kind of damage; ``CLEAN`` for none.
        tick: strength of the damage.
        name: kind and strength, unique.
        changed: share of changed titles (``title``) and of changed pictures (``image``).
        scores: by metric in ``METRICS`` and by model, one score for each run.
    """

    kind: str
    tick: str
    name: str
    changed: Mapping[str, float]
    scores: Mapping[str, Mapping[str, list[float]]]

    @property
    def models(self) -> list[str]:
        """Models measured in all runs."""
        return list(self.scores["accuracy"])

    def mean(self, metric: str, model: str) -> float:
        """Mean over the runs."""
        return float(np.mean(self.scores[metric][model]))


def read_conditions(runs: Sequence[RunResults]) -> list[ConditionScores]:
    """Conditions that all measured runs have, in the order of the first run; none if no run was measured.

    Raises:
        RunError: a file cannot be read.
    """
    measured = [_read(run.folder / ROBUSTNESS_FILE) for run in runs if (run.folder / ROBUSTNESS_FILE).is_file()]
    if not measured:
        return []
    return [
        _condition([each[name] for each in measured]) for name in measured[0] if all(name in each for each in measured)
    ]


def _read(path: Path) -> dict[str, Any]:
    """Conditions by name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        conditions = {condition["name"]: condition for condition in content["conditions"]}
        for condition in conditions.values():
            _condition([condition])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        command = "`python -m training evaluate RUN --data CATALOGUE --part test --robustness`"
        raise RunError(f"{path} cannot be read ({error!r}): measure again with {command}") from error
    return conditions


def _condition(measured: Sequence[dict[str, Any]]) -> ConditionScores:
    first = measured[0]
    models = [name for name in first["models"] if all(name in each["models"] for each in measured)]
    return ConditionScores(
        kind=first["kind"],
        tick=first["tick"],
        name=first["kind"] if first["kind"] == CLEAN else first["name"],
        changed={
            input_: float(np.mean([each["changed"][input_] for each in measured])) for input_ in ("title", "image")
        },
        scores={
            metric: {name: [float(each["models"][name][metric]) for each in measured] for name in models}
            for metric in METRICS
        },
    )
