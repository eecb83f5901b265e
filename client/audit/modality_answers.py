"""Reads the answers that :func:`client.audit.modalities.score_modalities` wrote, as arrays over all classes.

A catalogue may be large, so the files are read in batches, without a Python object for each answer.
Legend: P products, C classes, B answers in a batch, K classes listed in these answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from client.audit.findings import AuditAnswers
from client.audit.modalities import MODALITIES, PICTURE, TITLE, TOGETHER

BATCH_ROWS = 8192
_ROW = ("id", "line", "image", "text")
_READ = {PICTURE: "image", TITLE: "text"}


def read_answers(out: Path, given: Mapping[int, str], labels: Sequence[str] | None = None) -> AuditAnswers:
    """The answers to the labelled products of a catalogue.

    Args:
        out: output folder of the audit.
        given: labels by line of the catalogue; answers to other lines are left out.
        labels: classes that the model knows; None takes all classes in its answers.
    """
    if labels is None:
        named = (pc.unique(label).to_pylist() for modality in MODALITIES for _, label, _ in _listed(out, modality))
        labels = sorted({label for part in named for label in part})
    batches = (batch.to_pylist() for batch in _batches(out, TOGETHER, _ROW))
    rows = [row for batch in batches for row in batch if row["line"] in given]
    lines = pd.Index([row["line"] for row in rows], dtype=np.int64)
    probabilities = {modality: _probabilities(out, modality, lines, labels) for modality in MODALITIES}
    return AuditAnswers(rows, np.array([given[row["line"]] for row in rows]), labels, probabilities)


def fill_unlisted(listed: NDArray[np.float32]) -> None:
    """Complete the probabilities of listed classes, in place: unlisted classes share the rest equally.

    Args:
        listed: (P, C) float32, NaN for unlisted classes; a row of only NaN has no answer and stays as it is.
    """
    for start in range(0, len(listed), BATCH_ROWS):
        part = listed[start : start + BATCH_ROWS]
        missing = np.isnan(part)
        left = np.maximum(0.0, 1 - np.nansum(part, axis=1).astype(np.float64)) / np.maximum(1, missing.sum(1))
        np.copyto(part, left[:, None], where=missing & ~missing.all(1, keepdims=True), casting="same_kind")
        part /= part.sum(axis=1, keepdims=True)


def _probabilities(out: Path, modality: str, lines: "pd.Index[int]", labels: Sequence[str]) -> NDArray[np.float32]:
    """(P, C) float32 for one modality; NaN for products without an answer."""
    probabilities = np.full((len(lines), len(labels)), np.nan, dtype=np.float32)
    known = pa.array(labels, pa.string())
    for answered, label, score in _listed(out, modality):
        rows = lines.get_indexer(pd.Index(answered))
        classes = pc.fill_null(pc.index_in(label, value_set=known), -1).to_numpy()
        wanted = (rows >= 0) & (classes >= 0)
        probabilities[rows[wanted], classes[wanted]] = score[wanted]
    fill_unlisted(probabilities)
    return probabilities


def _listed(out: Path, modality: str) -> Iterator[tuple[NDArray[np.int64], pa.Array, NDArray[np.float64]]]:
    """Yield for each batch the listed classes as (K,) lines, (K,) labels, (K,) scores.

    For a single modality, answers count only if the model read exactly that modality.
    """
    for batch in _batches(out, modality, ("line", "modalities", "top")):
        answers = batch if modality == TOGETHER else batch.filter(pc.equal(batch["modalities"], _READ[modality]))
        top = answers["top"]
        lines = np.repeat(answers["line"].to_numpy(), top.value_lengths().to_numpy())  # (B,) -> (K,)
        entries = top.flatten()
        yield lines, pc.struct_field(entries, "label"), pc.struct_field(entries, "score").to_numpy()


def _batches(out: Path, modality: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(out / "scores" / modality / "predictions.parquet") as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))
