"""Writes the results of a run, streamed from its parts: predictions, review queue and errors.

``predictions.parquet`` and ``predictions.csv`` contain the answered rows in the catalogue's order. ``review.csv``
contains those that a person should check, least certain first. ``errors.csv`` contains the other rows with reasons.
``summary.json`` is written last: a folder that has it is complete.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from client.api.errors import ClientError
from client.scoring.scratch_database import ScratchDatabase
from client.scoring.workspace import (
    ATTRIBUTES,
    ERRORS_SCHEMA,
    PREDICTIONS_SCHEMA,
    QUEUE,
    Workspace,
    attribute_cells,
    predictions_schema,
)
from training.catalog import escape_formula
from training.system.storage import CSV_ENCODING, atomic_path, write_json

SUMMARY = "summary.json"
PARQUET, CSV, REVIEW, FAILED = FILES = ("predictions.parquet", "predictions.csv", "review.csv", "errors.csv")
# Written by :mod:`client.scoring.workbooks`, if that is asked for.
WORKBOOKS = ("predictions.xlsx", "review.xlsx", "errors.xlsx")
# Some 65,000 rows in a Parquet row group, a size that readers handle well.
_PARTS_A_GROUP = 128
_REASONS_SHOWN = 5


class _Csv:
    """A CSV writer by RFC 4180 with line feeds; cells are escaped so that a spreadsheet runs no formula in them."""

    def __init__(self, path: Path, schema: pa.Schema, stack: ExitStack) -> None:
        partial = stack.enter_context(atomic_path(path))
        file = stack.enter_context(partial.open("w", encoding=CSV_ENCODING, newline=""))
        self._usual = csv.writer(file, lineterminator="\n")
        # Python does not quote a carriage return unless lines end in one, but readers end a line there.
        self._quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self.write(schema.names)

    def write(self, cells: Sequence[Any]) -> None:
        """Write a row."""
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        safe = [escape_formula(cell) if isinstance(cell, str) else cell for cell in cells]
        (self._quoted if returns else self._usual).writerow(safe)


def write_outputs(folder: Path, workspace: Workspace, key: Mapping[str, Any], *, progress: bool) -> dict[str, Any]:
    """Write all files of a run once every chunk has its part.

    Args:
        folder: output folder.
        workspace: contains the parts.
        key: key of the run.
        progress: show a progress bar.

    Returns:
        The summary: ``read``, ``predicted``, ``review``, ``errors``, ``reasons`` (number of errors by reason),
        ``first`` (line and detail of the first one) and ``key``.

    Raises:
        StorageError: the folder cannot be written to.
    """
    with ExitStack() as stack:
        outputs = _Outputs(folder, workspace, stack)
        for part in tqdm(
            workspace.parts(),
            total=len(workspace.chunks),
            desc="writing",
            unit="part",
            leave=False,
            disable=None if progress else True,
        ):
            outputs.add(part)
        outputs.finish()
    summary = {**outputs.counts(workspace.read), "key": dict(key)}
    write_json(folder / SUMMARY, summary)
    return summary


def summary_text(summary: Mapping[str, Any]) -> str:
    """The summary in one line: rows read, predicted, failed by reason, and to review."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["reasons"].items())
    errors = f"{summary['errors']:,} errors" + (f" ({reasons})" if reasons else "")
    read, predicted, review = (f"{summary[name]:,}" for name in ("read", "predicted", "review"))
    return f"{read} rows read = {predicted} predicted + {errors}; {review} to review"


def refuse_unanswered(folder: Path, summary: Mapping[str, Any]) -> None:
    """Refuse a run that answered no row: it ended without a fault, but it was of no use.

    Args:
        folder: folder of the run.
        summary: see :func:`write_outputs`.

    Raises:
        ClientError: no row was answered; the message has the first row of each reason.
    """
    if summary["predicted"]:
        return
    lines = [
        f"  {reason}: {count:,}"
        + (
            f", first in line {first['line']}: {first['detail']}"
            if (first := summary.get("first", {}).get(reason))
            else ""
        )
        for reason, count in [*summary["reasons"].items()][:_REASONS_SHOWN]
    ]
    raise ClientError(
        f"none of the {summary['read']:,} rows was answered; {folder / FAILED} lists them all\n" + "\n".join(lines)
    )


class _Outputs:
    """The output files of a run while they are written; they appear when the stack closes them.

    Args:
        folder: output folder.
        workspace: folder for the database that sorts the review queue.
        stack: closes the files at its end.
    """

    def __init__(self, folder: Path, workspace: Workspace, stack: ExitStack) -> None:
        self._reasons: Counter[str] = Counter()
        self._first: dict[str, dict[str, Any]] = {}
        self._predicted = self._queued = 0
        self._queue = stack.enter_context(closing(ScratchDatabase(workspace.folder / QUEUE)))
        self._queue.execute("CREATE TABLE review (score REAL, line INTEGER, cells TEXT)")
        self._schema = predictions_schema(workspace.attributes())
        self._parquet = pq.ParquetWriter(stack.enter_context(atomic_path(folder / PARQUET)), self._schema)
        stack.enter_context(closing(self._parquet))
        self._csv, self._review = (_Csv(folder / name, self._schema, stack) for name in (CSV, REVIEW))
        self._failed = _Csv(folder / FAILED, ERRORS_SCHEMA, stack)
        self._group: list[pa.Table] = []

    def add(self, part: pa.Table) -> None:
        """Write the rows of the next part."""
        is_answered = pc.is_null(part["reason"])
        self._add_predictions(self._with_attributes(part.filter(is_answered)))
        for record in part.filter(pc.invert(is_answered)).select(ERRORS_SCHEMA.names).to_pylist():
            self._failed.write(list(record.values()))
            self._reasons[record["reason"]] += 1
            self._first.setdefault(record["reason"], {"line": record["line"], "detail": record["detail"]})

    def finish(self) -> None:
        """Write the rest of the Parquet, and the review queue in its order."""
        self._write_group()
        for (cells,) in self._queue.rows("SELECT cells FROM review ORDER BY score, line"):
            self._review.write(json.loads(cells))

    def counts(self, read: int) -> dict[str, Any]:
        """The counts of the summary; ``read`` is the number of rows that must have been written."""
        errors = sum(self._reasons.values())
        if read != self._predicted + errors:
            raise AssertionError(f"{read} rows were read, {self._predicted} predicted and {errors} failed")
        reasons = dict(sorted(self._reasons.items(), key=lambda entry: (-entry[1], entry[0])))
        return {
            "read": read,
            "predicted": self._predicted,
            "review": self._queued,
            "errors": errors,
            "reasons": reasons,
            "first": {reason: self._first[reason] for reason in reasons},
        }

    def _add_predictions(self, table: pa.Table) -> None:
        self._group.append(table)
        if len(self._group) == _PARTS_A_GROUP:
            self._write_group()
        self._predicted += len(table)
        for record in table.to_pylist():
            score, line, needs_review = record["score"], record["line"], record["needs_review"]
            # Lists and booleans are JSON in the CSV.
            record["top"] = json.dumps(record["top"], ensure_ascii=False)
            cells = [json.dumps(cell) if isinstance(cell, bool) else cell for cell in record.values()]
            self._csv.write(cells)
            if needs_review:
                self._queue.execute("INSERT INTO review VALUES (?, ?, ?)", (score, line, json.dumps(cells)))
                self._queued += 1

    def _with_attributes(self, table: pa.Table) -> pa.Table:
        """Answered rows with columns of their own for each further attribute."""
        plain = table.select(PREDICTIONS_SCHEMA.names)
        if len(self._schema) == len(PREDICTIONS_SCHEMA):
            return plain
        cells = pa.Table.from_pylist(
            [attribute_cells(entries) for entries in table[ATTRIBUTES].to_pylist()],
            schema=pa.schema(list(self._schema)[len(PREDICTIONS_SCHEMA) :]),
        )
        return pa.Table.from_arrays([*plain.columns, *cells.columns], schema=self._schema)

    def _write_group(self) -> None:
        if self._group:
            self._parquet.write_table(pa.concat_tables(self._group))
        self._group = []
