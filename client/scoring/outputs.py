"""The files a run leaves: predictions, the review queue and errors, streamed from its parts.

``predictions.parquet`` and ``predictions.csv`` hold the answered rows in the catalogue's order, ``review.csv`` those of
them that need a person's look, least certain first, ``errors.csv`` the others with a reason each. ``summary.json`` is
written last: its existence says that the run is complete.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from sqlite3 import Connection
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from client.scoring.ids import open_scratch
from client.scoring.storage import atomic_path, write_json
from client.scoring.workspace import ERRORS, PREDICTIONS, Workspace

SUMMARY = "summary.json"
PARQUET, CSV, REVIEW, FAILED = FILES = ("predictions.parquet", "predictions.csv", "review.csv", "errors.csv")
# Some 65,000 rows to a group of the Parquet, which is what its readers are made for.
_PARTS_A_GROUP = 64


class _Csv:
    """Rows of a CSV by the rules of RFC 4180, a line feed behind each."""

    def __init__(self, file: IO[str], schema: pa.Schema) -> None:
        self._usual = csv.writer(file, lineterminator="\n")
        # Left to itself, Python quotes a carriage return only where lines end in one; every reader ends a line there.
        self._quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self.write(schema.names)

    def write(self, cells: Sequence[Any]) -> None:
        """Write a row."""
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoted if returns else self._usual).writerow(cells)


def write_outputs(folder: Path, workspace: Workspace, key: Mapping[str, Any], *, progress: bool) -> dict[str, Any]:
    """Write all files of a run whose every chunk has its part.

    Args:
        folder: where to.
        workspace: the parts.
        key: of the run.
        progress: show a progress bar.

    Returns:
        The summary: ``read``, ``predicted``, ``review``, ``errors``, ``reasons`` (of the errors, how often each) and
        ``key``.

    Raises:
        ClientError: the folder cannot be written to.
    """
    reasons: Counter[str] = Counter()
    predicted = 0
    with ExitStack() as stack:
        queue = stack.enter_context(closing(open_scratch(workspace.folder / "review.sqlite")))
        queue.execute("CREATE TABLE review (score REAL, line INTEGER, cells TEXT)")
        parquet = pq.ParquetWriter(stack.enter_context(atomic_path(folder / PARQUET)), PREDICTIONS)
        stack.enter_context(closing(parquet))
        answered, review = (_csv(folder / name, PREDICTIONS, stack) for name in (CSV, REVIEW))
        failed = _csv(folder / FAILED, ERRORS, stack)
        groups = _groups(workspace)
        for table in tqdm(groups, desc="writing", unit="group", leave=False, disable=None if progress else True):
            is_answered = pc.is_null(table["reason"])
            predictions, errors = table.filter(is_answered), table.filter(pc.invert(is_answered))
            parquet.write_table(predictions.select(PREDICTIONS.names))
            _write_predictions(predictions, answered, queue)
            for record in errors.select(ERRORS.names).to_pylist():
                failed.write(list(record.values()))
            predicted += len(predictions)
            reasons.update(errors["reason"].to_pylist())
        for (cells,) in queue.execute("SELECT cells FROM review ORDER BY score, line"):
            review.write(json.loads(cells))
        [(queued,)] = queue.execute("SELECT COUNT(*) FROM review")
    return _summary(folder, key, read=workspace.read, predicted=predicted, review=queued, reasons=reasons)


def summary_text(summary: Mapping[str, Any]) -> str:
    """One line: rows read, predicted and failed, why, and how many a person should look at."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["reasons"].items())
    errors = f"{summary['errors']:,} errors" + (f" ({reasons})" if reasons else "")
    read, predicted, review = (f"{summary[name]:,}" for name in ("read", "predicted", "review"))
    return f"{read} rows read = {predicted} predicted + {errors}; {review} to review"


def _groups(workspace: Workspace) -> Iterator[pa.Table]:
    """Parts in order, many to a table."""
    parts: list[pa.Table] = []
    for part in workspace.parts():
        parts.append(part)
        if len(parts) == _PARTS_A_GROUP:
            yield pa.concat_tables(parts)
            parts = []
    if parts:
        yield pa.concat_tables(parts)


def _csv(path: Path, schema: pa.Schema, stack: ExitStack) -> _Csv:
    return _Csv(
        stack.enter_context(stack.enter_context(atomic_path(path)).open("w", encoding="utf-8", newline="")), schema
    )


def _write_predictions(table: pa.Table, answered: _Csv, queue: Connection) -> None:
    for record in table.select(PREDICTIONS.names).to_pylist():
        needs_review = record["needs_review"]
        # As JSON writes them; a list of classes has no other form in a CSV.
        record |= {"needs_review": json.dumps(needs_review), "top": json.dumps(record["top"], ensure_ascii=False)}
        cells = list(record.values())
        answered.write(cells)
        if needs_review:
            queue.execute("INSERT INTO review VALUES (?, ?, ?)", (record["score"], record["line"], json.dumps(cells)))


def _summary(
    folder: Path, key: Mapping[str, Any], *, read: int, predicted: int, review: int, reasons: Counter[str]
) -> dict[str, Any]:
    errors = sum(reasons.values())
    if read != predicted + errors:
        raise AssertionError(f"{read} rows were read, {predicted} predicted and {errors} failed")
    summary = {
        "read": read,
        "predicted": predicted,
        "review": review,
        "errors": errors,
        "reasons": dict(sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))),
        "key": dict(key),
    }
    write_json(folder / SUMMARY, summary)
    return summary
