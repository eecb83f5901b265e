"""Write a catalogue's table again with corrected labels, in its own format; everything else stays as it is."""

import bz2
import dataclasses
import gzip
import lzma
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, NamedTuple

from training.catalog.corrections.reading import Correction, check_labels, read_corrections
from training.catalog.files import CatalogFiles, open_files
from training.catalog.formats import content
from training.catalog.formats.encoding import find_encoding, preview
from training.catalog.formats.errors import CatalogError
from training.catalog.formats.parquet import MARK
from training.catalog.formats.row import Reading, Row, Say, say_nothing
from training.catalog.formats.streams import with_random_access
from training.catalog.labels import label_value
from training.catalog.rewriting.changes import Changes
from training.catalog.rewriting.delimited import rewrite_delimited
from training.catalog.rewriting.json_records import rewrite_json
from training.catalog.rewriting.parquet import rewrite_parquet
from training.catalog.rewriting.workbook import rewrite_workbook
from training.catalog.rows import open_rows, open_source_table
from training.catalog.source import CatalogSource
from training.system.storage import atomic_path

_COMPRESSION: Mapping[str, Callable[..., Any]] = {content.GZIP: gzip.open, content.BZ2: bz2.open, content.XZ: lzma.open}
# Rows with these faults have no id by which they could be named.
_UNNAMED = ("row_malformed", "id_empty", "id_duplicate")


class CorrectedTable(NamedTuple):
    """What was written.

    Args:
        path: of the new table.
        corrections: that were applied.
        new_labels: labels that no product had before.
    """

    path: Path
    corrections: Sequence[Correction]
    new_labels: Sequence[str]

    def summary(self) -> str:
        """One line: the number of corrected labels, and the most frequent new ones."""
        counts = Counter(each.label or "no value" for each in self.corrections).most_common()
        named = ", ".join(f"{label} {count:,}" for label, count in counts[:5])
        return f"{len(self.corrections):,} labels corrected, to {named}{', ...' if len(counts) > 5 else ''}"


class _Table(NamedTuple):
    """The table as it is read: labels by column and id, the row of each id, and the columns in the file."""

    labels: Mapping[str, Mapping[str, str]]
    lines: Mapping[str, int]
    header: Sequence[str]


def with_columns(corrections: Iterable[Correction], columns: Sequence[str]) -> list[Correction]:
    """Fill in the column of each correction. For a further attribute, a label that means "no value" becomes "".

    Args:
        columns: of the labels, the main attribute's first.
    """
    named = [each._replace(column=each.column or columns[0]) for each in corrections]
    return [each if each.column == columns[0] else each._replace(label=label_value(each.label)) for each in named]


def write_corrected(
    source: CatalogSource, corrections: Path, out: Path, *, replace: bool = False, say: Say = say_nothing
) -> CorrectedTable:
    """Write the table of a catalogue with corrected labels. The new table is read again before it gets its name.

    Args:
        source: the catalogue; without a label column the first one that the corrections name is the main attribute.
        corrections: file of corrections; other columns that it names are corrected too.
        out: a new file; or a folder, where it gets the table's name.
        replace: overwrite an earlier ``out``.
        say: gets each note for the owner.

    Raises:
        CatalogError: the table is of a kind that cannot be written, ``out`` is the table itself or is there already, or
            a correction cannot be applied; the message names it.
        StorageError: ``out`` cannot be written.
    """
    files = open_files(source.path)
    path = out / Path(files.table_name).name if out.is_dir() else out
    _require_writable(source, files, path, replace=replace)
    source = _with_label_columns(source, read_corrections(corrections))
    found, table = _read(source, files)
    columns = found.target_columns
    wanted = with_columns(read_corrections(corrections, ids=table.lines), columns)
    changes = _changes(wanted, table, columns, corrections.name)
    with atomic_path(path) as partial:
        _write(found, files, changes, table.header, partial)
        _compare(found, files, partial, changes)
    known = {label for column in table.labels.values() for label in column.values()}
    new = sorted({each.label for each in wanted} - known - {""})
    if new:
        say(f"no product had {'these labels' if len(new) > 1 else 'this label'} before: {', '.join(map(repr, new))}")
    return CorrectedTable(path, wanted, new)


def _require_writable(source: CatalogSource, files: CatalogFiles, path: Path, *, replace: bool) -> None:
    if files.classes is not None:
        raise CatalogError(f"{source.path} has no table: its labels are names of folders, so move the pictures")
    if files.further_parts:
        parts = len(files.further_parts) + 1
        raise CatalogError(
            f"{source.path} has {parts} parts: join them to one Parquet first, or correct them one by one"
        )
    own = Path(source.path)
    table = own if own.is_file() else own / files.table_name
    if path.exists() and (path.samefile(table) or path.samefile(own)):
        raise CatalogError(f"{path} is the catalogue itself, which stays as it is: name another file with --out")
    if path.exists() and not replace:
        raise CatalogError(f"{path} is there already: name another file with --out, or overwrite it with --replace")


def _with_label_columns(source: CatalogSource, corrections: Sequence[Correction]) -> CatalogSource:
    """The source with all columns that the corrections name as attributes."""
    named = list(dict.fromkeys(each.column for each in corrections if each.column))
    main = source.label_column
    if main is None and named and all(each.column for each in corrections):
        main, *named = named
    further = [each for each in named if each != main and each not in source.attribute_columns]
    if further and main is None:
        raise CatalogError("some corrections name a column and some do not: name the main column with --labels")
    return dataclasses.replace(source, label_column=main, attribute_columns=[*source.attribute_columns, *further])


def _read(source: CatalogSource, files: CatalogFiles) -> tuple[CatalogSource, _Table]:
    lines: dict[str, int] = {}
    with open_source_table(dataclasses.replace(source, format=None), files, say_nothing) as (raw, _):
        header = list(raw.header)
    with open_rows(source, files) as (found, rows):
        labels: dict[str, dict[str, str]] = {column: {} for column in found.target_columns}
        for row in rows:
            if row.fault is not None and row.fault.reason in _UNNAMED:
                continue
            lines[row.id] = row.line
            for column, label in zip(found.target_columns, (row.label, *row.attributes), strict=False):
                labels[column][row.id] = label
    if derived := [column for column in found.target_columns if column not in header]:
        raise CatalogError(
            f"{source.path} has no column {', '.join(map(repr, derived))}, which is made of the category: correct the "
            "category in the shop, or train with --corrections"
        )
    return found, _Table(labels, lines, header)


def _changes(corrections: Sequence[Correction], table: _Table, columns: Sequence[str], name: str) -> Changes:
    changes: dict[int, dict[str, str]] = {}
    for column in columns:
        own = [each for each in corrections if each.column == column]
        check_labels(table.labels[column], own, name)
        for each in own:
            changes.setdefault(table.lines[each.id], {})[column] = each.label
    return changes


def _write(source: CatalogSource, files: CatalogFiles, changes: Changes, header: Sequence[str], out: Path) -> None:
    reading = Reading(name=files.table_name, image_column=source.image_column, encoding=source.encoding)
    if source.header:
        reading.names = list(header)
    with reading.closing as stack, files.open_table() as stream:
        head = stream.read(content.HEAD_BYTES)
        kind = content.kind_of(head, reading.name)
        stream.seek(0)
        if kind in (content.PARQUET, content.WORKBOOK):
            whole = with_random_access(stream, reading.name, stack)
            if kind == content.PARQUET:
                rewrite_parquet(whole, reading, changes, out)
            else:
                rewrite_workbook(whole, reading, header, changes, out)
            return
        opened = _COMPRESSION.get(kind)
        plain = stack.enter_context(opened(stream)) if opened else stream
        with opened(out, "wb") if opened else out.open("wb") as file:
            for part in _text_parts(plain, reading, header, changes):
                file.write(part)


def _text_parts(stream: IO[bytes], reading: Reading, header: Sequence[str], changes: Changes) -> Iterator[bytes]:
    stream.seek(0)
    head = stream.read(content.HEAD_BYTES)
    form = content.text_kind(preview(head), reading.name)
    if form == content.XML:
        raise CatalogError(
            f"{reading.name} is XML, which is not written: save it as a CSV, or train with --corrections"
        )
    encoding = find_encoding(stream, head, reading)
    if form == content.JSON:
        return rewrite_json(stream, encoding, reading, changes)
    return rewrite_delimited(stream, encoding, reading, header, changes)


def _compare(source: CatalogSource, files: CatalogFiles, written: Path, changes: Changes) -> None:
    """Read both tables, and require that the wanted cells differ and no others."""
    plain, copy = dataclasses.replace(source, format=None), open_files(written)
    # Pictures inside a table have the table's name.
    inside, there = f"{copy.table_name}{MARK}", f"{files.table_name}{MARK}"
    with (
        open_source_table(plain, files, say_nothing) as (old, _),
        open_source_table(dataclasses.replace(plain, path=str(written)), copy, say_nothing) as (new, _),
    ):
        places = {name: place for place, name in enumerate(old.header)}
        for before, after in zip_longest(old.rows, new.rows):
            cells = [
                there + each.removeprefix(inside) if each.startswith(inside) else each
                for each in (after or before).cells
            ]
            if before is None or after is None or _expected(before, changes, places) != (after.line, cells):
                line = (before or after).line
                raise CatalogError(
                    f"{files.table_name}, line {line}: the corrected table would not be the same there, so it is not "
                    "written; save the table as CSV UTF-8, and correct that"
                )


def _expected(row: Row, changes: Changes, places: Mapping[str, int]) -> tuple[int, list[str]]:
    cells = list(row.cells)
    for column, text in changes.get(row.line, {}).items():
        cells[places[column]] = text
    return row.line, cells
