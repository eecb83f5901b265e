"""Read a complete run folder: its record and the answers of every model to the test part.

All answers are for the main attribute. The record has the metrics of the other attributes.
Legend: N test products, C classes.
"""

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.reporting.results.model_names import BASELINE, MAJORITY, featured_model
from training.run.checkpoint import RunError
from training.run.record import RunRecord, read_run
from training.scores.label_errors import LabelledAnswers


@dataclasses.dataclass(frozen=True)
class ModelAnswers:
    """Test answers of one model.

    Args:
        predicted: (N,) classes.
        probabilities: (N, C) calibrated; None if the model gives none.
    """

    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None = None


@dataclasses.dataclass(frozen=True)
class RunResults:
    """A run's test part with the answers of all models.

    Args:
        ids: (N,) product ids.
        truth: (N,) classes.
        groups: (N,) groups of related products, from the split.
        answers: by model, in the order of the run; then the baseline and the majority class.
    """

    folder: Path
    record: RunRecord
    ids: NDArray[np.str_]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    answers: dict[str, ModelAnswers]

    @property
    def target(self) -> str:
        """The name of the main attribute."""
        return self.record.main.name

    @property
    def labels(self) -> tuple[str, ...]:
        """C class names."""
        return self.record.main.labels

    @property
    def models(self) -> list[str]:
        """The trained models."""
        return [name for name in self.answers if name not in (BASELINE, MAJORITY)]

    @property
    def featured(self) -> str:
        """The model whose answers a report shows product by product."""
        return featured_model(self.models)


def read_results(folder: Path) -> RunResults:
    """Read a run folder.

    Raises:
        RunError: the run is not complete, or its files contradict each other.
    """
    record = read_run(folder)
    tests = {name: _read_arrays(folder / name / "test.npz") for name in [*record.models, BASELINE]}
    ids, truth, labels = tests[BASELINE]["ids"], tests[BASELINE]["truth"], record.main.labels
    for name, arrays in tests.items():
        if not np.array_equal(arrays["ids"], ids) or not np.array_equal(arrays["truth"], truth):
            raise RunError(
                f"{folder / name / 'test.npz'} has other test products than the baseline: train the run again"
            )
    split = _read_split(folder, ids)
    answers = {
        name: ModelAnswers(probabilities.argmax(1), probabilities)
        for name, arrays in tests.items()
        if name != BASELINE
        for probabilities in [arrays["probabilities"][:, : len(labels)]]
    }
    answers[BASELINE] = ModelAnswers(tests[BASELINE]["predicted"][:, 0])
    answers[MAJORITY] = ModelAnswers(np.full(len(ids), _majority(split, labels)))
    groups = split.loc[ids, "group"].to_numpy(dtype=np.int64)
    return RunResults(folder, record, ids, truth[:, 0], groups, answers)


def pool_results(runs: Sequence[RunResults]) -> RunResults:
    """Join all runs to one: their test products one after the other, over the classes of all runs."""
    if len(runs) == 1:
        return runs[0]
    labels, places = _all_labels(runs)

    def pooled(name: str) -> ModelAnswers:
        answers = [run.answers[name] for run in runs]
        predicted = np.concatenate([place[each.predicted] for place, each in zip(places, answers, strict=True)])
        probabilities = [
            _widened(each.probabilities, place, classes=len(labels))
            for place, each in zip(places, answers, strict=True)
            if each.probabilities is not None
        ]
        return ModelAnswers(predicted, np.concatenate(probabilities) if probabilities else None)

    return RunResults(
        runs[0].folder,
        runs[0].record.with_labels(labels),
        np.concatenate([run.ids for run in runs]),
        np.concatenate([place[run.truth] for place, run in zip(places, runs, strict=True)]),
        np.concatenate([run.groups for run in runs]),
        {name: pooled(name) for name in common_models(runs)},
    )


def held_out_answers(runs: Sequence[RunResults], model: str) -> list[LabelledAnswers]:
    """A model's answers to products that it was not trained on: test part and, if kept, validation part of every run.

    A cross-fitted run also has answers to the training part, from the models fitted on the other parts.

    Returns:
        Answers over the classes of all runs, in the order of :func:`pool_results`.

    Raises:
        RunError: a file cannot be read.
    """
    labels, places = _all_labels(runs)
    parts = []
    for run, place in zip(runs, places, strict=True):
        for part in ("out_of_fold", "validation", "test"):
            path = run.folder / model / f"{part}.npz"
            if path.is_file():
                saved = _read_arrays(path)
                probabilities = _widened(saved["probabilities"][:, : len(place)], place, classes=len(labels))
                parts.append(LabelledAnswers(saved["ids"], place[saved["truth"][:, 0]], probabilities))
    return parts


def common_models(runs: Sequence[RunResults]) -> list[str]:
    """Models that every run has answers of, in the order of the first run."""
    return [name for name in runs[0].answers if all(name in run.answers for run in runs)]


def _all_labels(runs: Sequence[RunResults]) -> tuple[list[str], list[NDArray[np.int64]]]:
    """The C classes of all runs; for each run, the index of each of its classes among them."""
    labels = list(dict.fromkeys(label for run in runs for label in run.labels))
    return labels, [np.array([labels.index(label) for label in run.labels]) for run in runs]


def _widened(probabilities: NDArray[np.float32], places: NDArray[np.int64], *, classes: int) -> NDArray[np.float32]:
    """Probabilities over more classes, (N, ``classes``): each column moves to its place, the others are 0."""
    wide = np.zeros((len(probabilities), classes), dtype=np.float32)
    wide[:, places] = probabilities
    return wide


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return dict(saved)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}): train the run again") from error


def _read_split(folder: Path, ids: NDArray[np.str_]) -> pd.DataFrame:
    """``label, part, group`` by product id."""
    path = folder / "split.csv"
    try:
        split = pd.read_csv(path, dtype={"id": str, "label": str, "part": str}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): train the run again") from error
    if missing := sorted(set(ids) - set(split["id"])):
        raise RunError(f"{path} lacks {len(missing)} test products, such as {str(missing[0])!r}: train the run again")
    return split.set_index("id")


def _majority(split: pd.DataFrame, labels: Sequence[str]) -> int:
    """The most frequent class of the training part; the first in case of a tie."""
    counts = split.loc[split["part"] == "train", "label"].value_counts()
    return int(np.argmax([counts.get(label, 0) for label in labels]))
