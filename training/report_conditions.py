"""What runs measured on damaged products, read back: every condition with the accuracy of every model in every run."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.checkpoint import RunError
from training.report_runs import RunResults

FILE = "robustness.json"
CLEAN = "clean"


@dataclasses.dataclass(frozen=True)
class Condition:
    """Products damaged in one way.

    Args:
        kind: what was done to them; ``CLEAN`` for nothing.
        words: the same with its strength, unique.
        tick: the strength alone.
        accuracy: by model, one a run.
    """

    kind: str
    words: str
    tick: str
    accuracy: dict[str, list[float]]

    def mean(self, model: str) -> float:
        """Mean accuracy over the runs."""
        return float(np.mean(self.accuracy[model]))


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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {condition["name"]: condition for condition in content["conditions"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): run `python -m training evaluate RUN --robustness` anew"
        ) from error


def _condition(measured: Sequence[dict[str, Any]]) -> Condition:
    first = measured[0]
    models = [name for name in first["models"] if all(name in each["models"] for each in measured)]
    return Condition(
        first["kind"],
        first["name"],
        first["tick"],
        {name: [each["models"][name]["accuracy"] for each in measured] for name in models},
    )
