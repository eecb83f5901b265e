"""The working folder of an unfinished run: the catalogue's rows in chunks, and a part for each answered chunk.

A run first writes the chunks ``parts/rows-00000.parquet`` and so on. It then writes ``parts/manifest.json``, which
shows that the whole catalogue was read. ``parts/part-00000.parquet`` is a chunk with its answers. Files are written
atomically, so a run that was killed at any moment continues with the chunks that have no part.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from client.api.errors import ServerError
from client.api.log import Log
from client.scoring.answers import RowAnswer, RowBatch, reason_of
from client.scoring.run_key import check_key
from client.scoring.scratch_database import DiskIds
from training.catalog import CatalogFiles, CatalogRow, CatalogSource, RowError, open_rows
from training.system.storage import atomic_path, final_name, make_folder, read_json, write_json

CHUNK_ROWS = 512
PARTS = "parts"
SCORES = "the scores of another run"  # in error messages
MANIFEST = "manifest.json"
IDS, QUEUE = "ids.sqlite", "review.sqlite"
_OWN = re.compile(rf"(rows|part)-\d{{5,}}\.parquet|{re.escape(MANIFEST)}|{re.escape(IDS)}|{re.escape(QUEUE)}")
_ROW = (("line", pa.int64()), ("id", pa.string()), ("image", pa.string()), ("text", pa.string()))
_FAULT = (("reason", pa.string()), ("detail", pa.string()))
TOP = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
_ANSWER = (
    ("label", pa.string()),
    ("score", pa.float64()),
    ("needs_review", pa.bool_()),
    ("review", pa.string()),
    ("set", pa.string()),
    ("modalities", pa.string()),
    ("top", TOP),
)
# A list, since the names of the attributes are known only after the first answer.
ATTRIBUTES = "attributes"
_ATTRIBUTE = (("label", pa.string()), ("score", pa.float64()), ("needs_review", pa.bool_()))
_ATTRIBUTES = (ATTRIBUTES, pa.list_(pa.struct([("name", pa.string()), *_ATTRIBUTE])))
ROWS_SCHEMA = pa.schema([*_ROW, *_FAULT, ("pictures", pa.list_(pa.string()))])
PREDICTIONS_SCHEMA = pa.schema([*_ROW, *_ANSWER])
ERRORS_SCHEMA = pa.schema([*_ROW, *_FAULT])
PART_SCHEMA = pa.schema([*_ROW, *_ANSWER, *_FAULT, _ATTRIBUTES])


def predictions_schema(attributes: Sequence[str]) -> pa.Schema:
    """The columns of answered rows, with ``name``, ``name_score`` and ``name_needs_review`` for each attribute.

    Args:
        attributes: names of the further attributes; one that is already a column gets the prefix ``attribute_``.
    """
    columns = [(_column(name, part), kind) for name in attributes for part, kind in _ATTRIBUTE]
    return pa.schema([*PREDICTIONS_SCHEMA, *columns])


def attribute_cells(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A row's further attributes by the columns of :func:`predictions_schema`."""
    return {_column(each["name"], part): each[part] for each in attributes for part, _ in _ATTRIBUTE}


def _column(name: str, part: str) -> str:
    name = f"attribute_{name}" if {name, f"{name}_{part}"} & {*PREDICTIONS_SCHEMA.names} else name
    return name if part == "label" else f"{name}_{part}"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The working folder of an unfinished run.

    Args:
        folder: ``parts`` in the output folder.
        read: number of rows in the catalogue.
        chunk_rows: rows in each chunk except the last.
    """

    folder: Path
    read: int
    chunk_rows: int

    @property
    def chunks(self) -> range:
        """Numbers of the chunks."""
        return range(-(-self.read // self.chunk_rows))

    def pending(self) -> list[int]:
        """Chunks without answers."""
        return [chunk for chunk in self.chunks if not self._part(chunk).exists()]

    def rows_of(self, chunks: Iterable[int]) -> int:
        """Total number of rows in some chunks."""
        return sum(min(self.chunk_rows, self.read - chunk * self.chunk_rows) for chunk in chunks)

    def batches(self, chunks: Iterable[int], *, size: int) -> Iterator[RowBatch]:
        """Yield the rows of chunks in batches of at most ``size``; no batch spans two chunks."""
        for chunk in chunks:
            records = pq.read_table(_rows_path(self.folder, chunk), schema=ROWS_SCHEMA).to_pylist()
            rows = [_row(record) for record in records]
            for start in range(0, len(rows), size):
                yield RowBatch(chunk, rows[start : start + size], last=start + size >= len(rows))

    def write_part(self, chunk: int, rows: Sequence[CatalogRow], answers: Sequence[RowAnswer]) -> None:
        """Write a chunk with its answers."""
        records = [_record(row, answer) for row, answer in zip(rows, answers, strict=True)]
        with atomic_path(self._part(chunk)) as path:
            pq.write_table(pa.Table.from_pylist(records, schema=PART_SCHEMA), path)

    def parts(self) -> Iterator[pa.Table]:
        """The answered chunks, in order."""
        return (pq.read_table(self._part(chunk), schema=PART_SCHEMA) for chunk in self.chunks)

    def attributes(self) -> list[str]:
        """Names of the model's further attributes, from its first answer."""
        for chunk in self.chunks:
            column = pq.read_table(self._part(chunk), schema=PART_SCHEMA, columns=[ATTRIBUTES])[ATTRIBUTES]
            for entries in column.to_pylist():
                if entries is not None:
                    return [entry["name"] for entry in entries]
        return []

    def _part(self, chunk: int) -> Path:
        return self.folder / f"part-{chunk:05d}.parquet"


def open_workspace(folder: Path, key: Any) -> Workspace | None:
    """Open the workspace of an interrupted run; None if no catalogue was read completely.

    Args:
        folder: folder of the workspace.
        key: key of the run: catalogue, model, options.

    Raises:
        ClientError: the workspace belongs to another run.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        return None
    check_key(folder.parent, manifest["key"], key, holds=SCORES)
    for partial in folder.glob(".*.partial"):
        partial.unlink()
    return Workspace(folder, int(manifest["read"]), int(manifest["key"]["chunk_rows"]))


def make_workspace(
    folder: Path, key: Any, *, source: CatalogSource, files: CatalogFiles, progress: bool, log: Log = print
) -> Workspace:
    """Read a catalogue and write its rows in chunks.

    Args:
        folder: folder of the workspace.
        key: key of the run, with ``chunk_rows``.
        source: path and columns of the catalogue.
        files: files of the catalogue.
        progress: show a progress bar.
        log: gets the notes on the catalogue.

    Raises:
        CatalogError: the catalogue cannot be read.
        ClientError: the disk has no room for the ids.
        StorageError: the folder cannot be written to.
    """
    make_folder(folder)
    _clear(folder)  # a run may have been killed while it read
    read = 0
    with (
        DiskIds(folder / IDS) as seen,
        open_rows(
            source,
            files,
            labelled=False,
            seen=seen,
            say=lambda note: log(f"note: {note}"),
            pictures=key.get("pictures", "first"),
        ) as (_, rows),
    ):
        shown = tqdm(rows, desc="reading", unit="row", unit_scale=True, disable=None if progress else True)
        remaining = iter(shown)
        for chunk, group in enumerate(iter(lambda: list(itertools.islice(remaining, key["chunk_rows"])), [])):
            with atomic_path(_rows_path(folder, chunk)) as path:
                pq.write_table(pa.Table.from_pylist([_row_record(row) for row in group], schema=ROWS_SCHEMA), path)
            read += len(group)
    write_json(folder / MANIFEST, {"key": key, "read": read})
    return Workspace(folder, read, key["chunk_rows"])


def unknown_files(folder: Path) -> list[str]:
    """Names in a workspace folder that no run has written."""
    return sorted(path.name for path in folder.iterdir() if not _is_own(path))


def remove_workspace(folder: Path) -> None:
    """Remove a workspace; files that no run has written stay."""
    if folder.exists():
        _clear(folder)
        if not unknown_files(folder):
            folder.rmdir()


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if _is_own(path):
            path.unlink()


def _is_own(path: Path) -> bool:
    return _OWN.fullmatch(final_name(path.name)) is not None and not path.is_dir()


def _rows_path(folder: Path, chunk: int) -> Path:
    return folder / f"rows-{chunk:05d}.parquet"


def _row_record(row: CatalogRow) -> dict[str, Any]:
    reason, detail = (None, None) if row.fault is None else reason_of(row.fault)
    return {
        **{"line": row.line, "id": row.id, "image": row.image, "text": row.text, "reason": reason, "detail": detail},
        "pictures": list(row.pictures),
    }


def _row(record: dict[str, Any]) -> CatalogRow:
    fault = None if record["reason"] is None else RowError(record["reason"], record["detail"])
    return CatalogRow(
        record["line"], record["id"], record["image"], record["text"], "", fault, pictures=record["pictures"]
    )


def _record(row: CatalogRow, answer: RowAnswer) -> dict[str, Any]:
    record = _row_record(row)
    if isinstance(answer, ServerError | RowError):
        reason, detail = reason_of(answer)
        return {**record, "reason": reason, "detail": detail}
    return {
        **record,
        "label": answer.label,
        "score": answer.score,
        "needs_review": answer.needs_review,
        "review": "+".join(answer.review),
        "set": "|".join(answer.set),
        "modalities": "+".join(answer.modalities),
        "top": [entry._asdict() for entry in answer.top],
        ATTRIBUTES: [{"name": name, **entry._asdict()} for name, entry in answer.attributes.items()],
    }
