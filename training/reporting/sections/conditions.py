"""What runs measured on damaged products, read back: every condition with the scores of every model in every run."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.conditions import CLEAN
from training.evaluation.robustness import FILE
from training.reporting.results.runs import RunResults
from training.run.checkpoint import RunError

METRICS = {"accuracy": "accuracy", "macro_f1_frequent": "macro-F1"}


@dataclasses.dataclass(frozen=True)
class Condition:
    """Products damaged in one way.

    Args:
        kind: what was done to them; ``CLEAN`` for nothing.
        tick: the strength alone.
        words: both, unique.
        changed: share of the titles and of the pictures that were changed, by ``title`` and ``image``.
        scores: by metric in ``METRICS`` and by model, one a run.
    """

    kind: str
    tick: str
    words: str
    changed: Mapping[str, float]
    scores: Mapping[str, Mapping[str, list[float]]]

    @property
    def models(self) -> list[str]:
        """What was measured in all runs."""
        return list(self.scores["accuracy"])

    def mean(self, metric: str, model: str) -> float:
        """Mean over the runs."""
        return float(np.mean(self.scores[metric][model]))


def read_conditions(runs: Sequence[RunResults]) -> list[Condition]:
    """Conditions that all measured runs have, in the order of the first; none where no run was measured.

    Raises:
        RunError: a file cannot be read.
    """
    measured = [_read(run.folder / FILE) for run in runs if (run.folder / FILE).is_file()]
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
        anew = "measure anew with `python -m training evaluate RUN --data CATALOGUE --part test --robustness`"
        raise RunError(f"{path} cannot be read ({error!r}): {anew}") from error
    return conditions


def _condition(measured: Sequence[dict[str, Any]]) -> Condition:
    first = measured[0]
    models = [name for name in first["models"] if all(name in each["models"] for each in measured)]
    return Condition(
        kind=first["kind"],
        tick=first["tick"],
        words=first["kind"] if first["kind"] == CLEAN else first["name"],
        changed={side: float(np.mean([each["changed"][side] for each in measured])) for side in ("title", "image")},
        scores={
            metric: {name: [float(each["models"][name][metric]) for each in measured] for name in models}
            for metric in METRICS
        },
    )
