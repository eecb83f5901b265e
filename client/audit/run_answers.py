"""Reads from run folders the answers of models to products that they were not trained on.

A run keeps ``test.npz`` and ``validation.npz`` for each model. A cross-fitted run also keeps ``out_of_fold.npz``, the
answers to its training products by models trained on the other folds. With several runs (seeds, folds of a
cross-validation), the answers to a product are averaged. Legend: N answers, P products, C main classes.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.api.errors import ClientError
from client.audit.findings import AuditAnswers
from client.audit.modalities import MODALITIES, PICTURE, TITLE, TOGETHER
from training.catalog import CatalogRow, CatalogSource, open_files, open_rows

MODEL_OF_MODALITY = {PICTURE: "image", TITLE: "text", TOGETHER: "late"}
PART_NAMES = {"out_of_fold": "training", "validation": "validation", "test": "test"}
_CLASSES_DIFFER = "train them on one catalogue with the same options, or audit them one by one"


class AuditedRun(NamedTuple):
    """The part of a run's ``run.json`` that an audit needs.

    Args:
        folder: folder of the run.
        source: its catalogue.
        labels: C classes.
        unseen: number of training products without an answer by a model that had not seen them.
        created: time of its completion.
    """

    folder: Path
    source: CatalogSource
    labels: tuple[str, ...]
    unseen: int
    created: str


class RunAnswers(NamedTuple):
    """Answers and their origin.

    Args:
        answers: products with the labels of the runs, and the answers to them.
        counts: number of answers by part of the run.
        changed: number of products left out because their label in the catalogue differs from the runs' label.
    """

    answers: AuditAnswers
    counts: Counter[str]
    changed: int


def read_record(folder: Path, *, path: str | None = None) -> AuditedRun:
    """Read ``run.json``.

    Args:
        folder: folder of a complete run.
        path: path of its catalogue; None takes the path in the record.

    Raises:
        ClientError: the folder contains no complete run, or one of an earlier version.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if "version" not in record:
            raise ClientError(f"{folder} is of an earlier version of this package: train the run again")
        target, labels = next(iter(record["attributes"].items()))
        source = {**record["source"], "label_column": target, **({} if path is None else {"path": path})}
        unseen = 0 if (folder / "image" / "out_of_fold.npz").is_file() else int(record["split"]["train"])
        return AuditedRun(folder, CatalogSource(**source), tuple(labels), unseen, str(record["created"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ClientError(
            f"{folder} contains no complete run ({type(error).__name__}: {error}); "
            f"`python -m training train --out {folder}` finishes it"
        ) from error


def read_run_answers(records: Sequence[AuditedRun]) -> RunAnswers:
    """Read the answers of one run, or of several runs with the same catalogue and classes.

    Raises:
        ClientError: a file cannot be read, or the runs differ in catalogue or classes.
        CatalogError: the catalogue cannot be read.
    """
    first = records[0]
    for other in records[1:]:
        if (other.labels, other.source) != (first.labels, first.source):
            raise ClientError(f"{first.folder} and {other.folder} differ in catalogue or classes: {_CLASSES_DIFFER}")
    counts: Counter[str] = Counter()
    modalities = {modality: _Sums(len(first.labels)) for modality in MODALITIES}
    for record in records:
        for modality, part in ((modality, part) for modality in MODALITIES for part in PART_NAMES):
            saved = _read_arrays(record.folder / MODEL_OF_MODALITY[modality] / f"{part}.npz")
            if saved is not None:
                modalities[modality].add(saved)
                counts[PART_NAMES[part]] += len(saved["ids"]) if modality == PICTURE else 0
    return _joined(first, modalities, counts)


class _Sums:
    """Sums of the probabilities of each product for the main attribute."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.given: dict[str, int] = {}
        self._sums: dict[str, NDArray[np.float32]] = {}

    def add(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Add the answers of one file."""
        given, answers = saved["truth"][:, 0].tolist(), saved["probabilities"][:, : self.classes]
        for id, label, row in zip(saved["ids"].tolist(), given, answers, strict=True):
            self.given[id] = label
            self._sums[id] = self._sums[id] + row if id in self._sums else row

    def mean(self, id: str) -> NDArray[np.float32]:
        """(C,) float32, sums to 1; NaN if the product has no answer."""
        if id not in self._sums:
            return np.full(self.classes, np.nan, dtype=np.float32)
        mean: NDArray[np.float32] = self._sums[id] / self._sums[id].sum()
        return mean


def _joined(record: AuditedRun, modalities: Mapping[str, _Sums], counts: Counter[str]) -> RunAnswers:
    """Join the answers with the rows of the catalogue."""
    trained = {id: record.labels[place] for id, place in modalities[PICTURE].given.items()}
    found = {row.id: row for row in _rows(record.source) if row.id in trained}
    if missing := [id for id in trained if id not in found]:
        raise ClientError(
            f"{record.source.path} lacks {len(missing):,} products of {record.folder}, such as {missing[0]!r}; "
            "name the unchanged catalogue of that run"
        )
    rows = [row for row in found.values() if row.label == trained[row.id]]
    probabilities = {modality: np.zeros((len(rows), len(record.labels)), np.float32) for modality in MODALITIES}
    for number, row in enumerate(rows):
        for modality, lacks in ((PICTURE, not row.image), (TITLE, not row.text), (TOGETHER, False)):
            probabilities[modality][number] = np.nan if lacks else modalities[modality].mean(row.id)
    answers = AuditAnswers(
        [{"id": row.id, "line": row.line, "image": row.image, "text": row.text} for row in rows],
        np.array([row.label for row in rows]),
        record.labels,
        probabilities,
    )
    return RunAnswers(answers, counts, changed=len(found) - len(rows))


def _rows(source: CatalogSource) -> list[CatalogRow]:
    with open_rows(source, open_files(source.path)) as (_, rows):
        return [row for row in rows if row.fault is None]


def _read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; None if it does not exist."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return dict(saved)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ClientError(f"{path} cannot be read ({error}): train the run again") from error
