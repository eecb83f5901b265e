"""Compare a run with an earlier one on the test products of both, by the labels of the later one.

A run with corrections has the test products of the run before it, and better labels. Both runs are judged by those.
Legend: N common test products, C classes of both runs.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.reporting.results.run_results import RunResults
from training.run.checkpoint import RunError
from training.scores.class_differences import ClassDifference, class_differences
from training.scores.metrics import Difference, RunPredictions, paired_bootstrap, verdict


@dataclasses.dataclass(frozen=True)
class ModelChange:
    """A model in both runs.

    Args:
        before: accuracy and macro-F1 in the earlier run, 0..1.
        now: in the later one.
        accuracy, macro_f1: their differences.
    """

    before: tuple[float, float]
    now: tuple[float, float]
    accuracy: Difference
    macro_f1: Difference


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Two runs.

    Args:
        earlier: folder of the earlier run.
        products: N.
        left_out: test products of the later run that the earlier one did not test.
        relabelled: products whose label differs between the runs.
        labels: C class names.
        models: by name, the models of both.
        featured: the model that ``classes`` is about.
        classes: see :func:`training.scores.class_differences.class_differences`.
    """

    earlier: str
    products: int
    left_out: int
    relabelled: int
    labels: Sequence[str]
    models: dict[str, ModelChange]
    featured: str
    classes: list[ClassDifference]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values = dataclasses.asdict(self)
        for name, change in self.models.items():
            for metric in ("accuracy", "macro_f1"):
                values["models"][name][metric] |= {"verdict": verdict(getattr(change, metric))}
        values["classes"] = [
            {"label": self.labels[each.place], **each._asdict(), "verdict": each.verdict} for each in self.classes
        ]
        return {name: value for name, value in values.items() if name != "labels"}


def compare_runs(later: RunResults, earlier: RunResults) -> RunComparison:
    """Compare two runs.

    Raises:
        RunError: they have another main attribute, no test product in common, or no model in common.
    """
    if later.target != earlier.target:
        raise RunError(
            f"{later.folder} is about {later.target}, {earlier.folder} about {earlier.target}: compare runs of one "
            "column"
        )
    places = {id: row for row, id in enumerate(earlier.ids.tolist())}
    rows = np.array([row for row, id in enumerate(later.ids.tolist()) if id in places], dtype=np.int64)
    if not len(rows):
        raise RunError(
            f"{later.folder} and {earlier.folder} have no test product in common: train both on one catalogue, with "
            "the same options and seed (--corrections keeps the parts)"
        )
    before = np.array([places[id] for id in later.ids[rows].tolist()])
    models = [name for name in later.models if name in earlier.models]
    if not models:
        raise RunError(f"{later.folder} and {earlier.folder} have no model in common")
    labels = list(dict.fromkeys([*later.labels, *earlier.labels]))
    of_earlier = np.array([labels.index(label) for label in earlier.labels])
    predictions = {
        name: np.stack([later.answers[name].predicted[rows], of_earlier[earlier.answers[name].predicted[before]]])
        for name in models
    }
    truth, groups = later.truth[rows], np.unique(later.groups[rows], return_inverse=True)[1].astype(np.int64)
    featured = later.featured if later.featured in models else models[-1]
    return RunComparison(
        earlier=str(earlier.folder),
        products=len(rows),
        left_out=len(later.ids) - len(rows),
        relabelled=int((truth != of_earlier[earlier.truth[before]]).sum()),
        labels=labels,
        models=_changes(predictions, truth, groups, classes=len(labels)),
        featured=featured,
        classes=class_differences(RunPredictions(truth, predictions[featured], groups, len(labels))),
    )


def _changes(
    predictions: dict[str, NDArray[np.int64]], truth: NDArray[np.int64], groups: NDArray[np.int64], *, classes: int
) -> dict[str, ModelChange]:
    """All models on the same draws: for each, its later and its earlier answers follow each other."""
    boot = paired_bootstrap([RunPredictions(truth, np.concatenate(list(predictions.values())), groups, classes)])
    found = {}
    for number, name in enumerate(predictions):
        now, before = 2 * number, 2 * number + 1
        both = [
            (float(boot.observed["accuracy"][0, place]), float(boot.observed["macro_f1"][0, place]))
            for place in (before, now)
        ]
        found[name] = ModelChange(
            both[0], both[1], boot.difference("accuracy", now, before), boot.difference("macro_f1", now, before)
        )
    return found
