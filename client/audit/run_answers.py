"""Reads from run folders the answers of models to products that they were not trained on.

A run keeps ``test.npz`` and ``validation.npz`` for each model. A cross-fitted run also keeps ``out_of_fold.npz``, the
answers to its training products by models trained on the other folds. With several runs (seeds, folds of a
cross-validation), the answers to a product are averaged. Legend: N answers, P products, C main classes.
"""

import json
import shlex
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
from training.catalog import CatalogSource, open_files, open_rows

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
            f"`python -m training train --out {shlex.quote(str(folder))}` finishes one that was interrupted"
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
    given: dict[str, int] = {}
    sums: dict[str, dict[str, NDArray[np.float32]]] = {modality: {} for modality in MODALITIES}
    for record in records:
        for modality, part in ((modality, part) for modality in MODALITIES for part in PART_NAMES):
            saved = _read_arrays(record.folder / MODEL_OF_MODALITY[modality] / f"{part}.npz")
            if saved is None:
                continue
            ids = saved["ids"].tolist()
            for id, row in zip(ids, saved["probabilities"][:, : len(first.labels)], strict=True):
                sums[modality][id] = sums[modality].get(id, 0) + row
            if modality == PICTURE:
                given.update(zip(ids, saved["truth"][:, 0].tolist(), strict=True))
                counts[PART_NAMES[part]] += len(ids)
    answers, changed = _joined(first, sums, given)
    return RunAnswers(answers, counts, changed)


def _joined(
    record: AuditedRun, sums: Mapping[str, Mapping[str, NDArray[np.float32]]], given: Mapping[str, int]
) -> tuple[AuditAnswers, int]:
    """The rows of the catalogue with the answers to them, and the number of rows whose label has changed."""
    with open_rows(record.source, open_files(record.source.path)) as (_, read):
        found = {row.id: row for row in read if row.fault is None and row.id in given}
    if missing := [id for id in given if id not in found]:
        raise ClientError(
            f"{record.source.path} lacks {len(missing):,} products of {record.folder}, such as {missing[0]!r}; "
            "name the unchanged catalogue of that run"
        )
    rows = [row for row in found.values() if row.label == record.labels[given[row.id]]]
    probabilities = {each: np.full((len(rows), len(record.labels)), np.nan, np.float32) for each in MODALITIES}
    for number, row in enumerate(rows):
        for modality, reads in ((PICTURE, row.image), (TITLE, row.text), (TOGETHER, True)):
            if reads and row.id in sums[modality]:
                total = sums[modality][row.id]
                probabilities[modality][number] = total / total.sum()
    answers = AuditAnswers(
        [{"id": row.id, "line": row.line, "image": row.image, "text": row.text} for row in rows],
        np.array([row.label for row in rows]),
        record.labels,
        probabilities,
    )
    return answers, len(found) - len(rows)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; None if it does not exist."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return dict(saved)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ClientError(f"{path} cannot be read ({error}): train the run again") from error
