"""Rows of a Parquet, or of its part files. A cell with a picture's bytes becomes the picture's name.

Pictures lie in a column of bytes, or in the form of Hugging Face: ``{bytes, path}``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from training.catalog.formats.errors import CatalogError
from training.catalog.formats.row import Columns, Reading, Row

ROWS_AT_ONCE = 4096
PICTURES_AT_ONCE = 64
# Between the table's name and a picture's place in it, in the name of a picture.
MARK = "#"
_PICTURES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|GIF8|BM|II\*\x00|MM\x00\*", re.DOTALL)
_BYTES_FIELD, _PATH_FIELD = "bytes", "path"


class _Place(NamedTuple):
    """Where a batch of a column is: it comes behind the row ``line``."""

    part: str
    table: str
    column: str
    line: int


def picture_name(table: str, column: str, row: int) -> str:
    """The name of a picture inside a table; names sort as the rows do.

    Args:
        row: number of the row, from 1.
    """
    return f"{table}{MARK}{column}/{row:09d}"


def picture_place(name: str, table: str) -> tuple[str, int] | None:
    """Column and row of a picture inside a table; None for any other name."""
    column, _, row = name.removeprefix(f"{table}{MARK}").rpartition("/")
    return (column, int(row)) if name.startswith(f"{table}{MARK}") and column and row.isdecimal() else None


def read_parquet(streams: Sequence[tuple[str, IO[bytes]]], reading: Reading) -> Columns:
    """Read the columns with texts, numbers, dates, lists of texts and pictures; a row's line is its number, from 1.

    Args:
        streams: names and contents of the parts, in order.

    Raises:
        CatalogError: a part cannot be read, or the parts have different columns; also while the rows are read.
    """
    if reading.names:
        raise CatalogError(f"{reading.name} names its columns itself: leave out --header")
    parts = [(name, _opened(stream, name)) for name, stream in streams]
    names = parts[0][1].schema_arrow.names
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise CatalogError(f"{parts[0][0]} has the columns {twice} several times: rename all but one")
    header = _readable(parts[0][1], reading)
    for name, part in parts[1:]:
        if missing := [column for column in header if column not in part.schema_arrow.names]:
            raise CatalogError(f"{name} lacks the columns {missing} of {parts[0][0]}: the parts must be of one table")
    return Columns(header, _rows(parts, header, reading))


def picture_batches(streams: Sequence[tuple[str, IO[bytes]]], column: str) -> Iterator[list[bytes | None]]:
    """The pictures of a column in the order of the rows, None for a row without one.

    Raises:
        CatalogError: a part cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415

    for name, stream in streams:
        part = _opened(stream, name)
        is_pair = pa.types.is_struct(part.schema_arrow.field(column).type)
        try:
            for batch in part.iter_batches(
                batch_size=PICTURES_AT_ONCE, columns=[f"{column}.{_BYTES_FIELD}" if is_pair else column]
            ):
                values = batch.column(0)
                yield (values.field(_BYTES_FIELD) if is_pair else values).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(f"{name}: its pictures cannot be read ({error}); write it again") from error


def _opened(stream: IO[bytes], name: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - the import takes 0.2 s, and a CSV does not need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{name} cannot be read as a Parquet ({error}): write it again") from error


def _readable(part: Any, reading: Reading) -> list[str]:
    """Names of the columns that can be read; the others are noted."""
    found = []
    for field in part.schema_arrow:
        kind = _kind(part, field, reading)
        if kind:
            found.append(field.name)
        else:
            reading.unreadable[field.name] = str(field.type)
    return found


def _kind(part: Any, field: Any, reading: Reading) -> str:
    """``plain``, ``texts``, ``pictures`` or ``pairs``; "" for a column that is not read."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_struct(field.type):
        names = {child.name: child.type for child in field.type}
        return "pairs" if _BYTES_FIELD in names and _is_bytes(names[_BYTES_FIELD]) else ""
    if _is_bytes(field.type):
        return "pictures" if field.name == reading.image_column or _shows_pictures(part, field.name) else ""
    if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
        value = field.type.value_type
        return "texts" if pa.types.is_string(value) or pa.types.is_large_string(value) else ""
    return "plain" if not pa.types.is_nested(field.type) and _has_texts(field.type) else ""


def _has_texts(kind: Any) -> bool:
    """True if Arrow can write the values of a type as texts."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        pa.array([], kind).cast(pa.string())
    except (pa.ArrowException, TypeError, ValueError):
        return False
    return True


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _shows_pictures(part: Any, column: str) -> bool:
    """True if the first value begins as a picture does."""
    batch = next(part.iter_batches(batch_size=PICTURES_AT_ONCE, columns=[column]), None)
    first = next((value for value in batch.column(0).to_pylist() if value), b"") if batch is not None else b""
    return _PICTURES.match(first) is not None


def _rows(parts: Sequence[tuple[str, Any]], header: Sequence[str], reading: Reading) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415

    line = 0
    for name, part in parts:
        kinds = {column: _kind(part, part.schema_arrow.field(column), reading) for column in header}
        try:
            for batch in part.iter_batches(batch_size=_batch_rows(kinds), columns=_wanted(part, kinds)):
                cells = [
                    _cells(batch.column(each), kinds[each], _Place(name, reading.name, each, line)) for each in header
                ]
                for line, row in enumerate(zip(*cells, strict=True), start=line + 1):  # noqa: B020 - goes on counting
                    yield Row(line, row)
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(f"{name}, behind row {line}: cannot be read ({error}); write it again") from error


def _batch_rows(kinds: dict[str, str]) -> int:
    return PICTURES_AT_ONCE if {"pictures", "pairs"} & set(kinds.values()) else ROWS_AT_ONCE


def _wanted(part: Any, kinds: dict[str, str]) -> list[str]:
    """The columns to read: of a pair only bytes and path, since a struct may hold more."""
    wanted = []
    for column, kind in kinds.items():
        if kind == "pairs":
            fields = {child.name for child in part.schema_arrow.field(column).type}
            wanted += [f"{column}.{each}" for each in (_BYTES_FIELD, _PATH_FIELD) if each in fields]
        else:
            wanted.append(column)
    return wanted


def _cells(values: Any, kind: str, place: _Place) -> list[str]:
    """The texts of a column's batch, "" for none."""
    import pyarrow as pa  # noqa: PLC0415

    if kind == "plain":
        return _texts(values.cast(pa.string()), f"{place.part}, behind row {place.line}, column {place.column!r}")
    if kind == "texts":
        lists = values.to_pylist()
        return ["" if each is None else json.dumps(each, ensure_ascii=False) for each in lists]
    if kind == "pairs":
        names = [field.name for field in values.type]
        there = values.field(_BYTES_FIELD).is_valid().to_pylist()
        paths = (
            values.field(_PATH_FIELD).cast(pa.string()).to_pylist() if _PATH_FIELD in names else [None] * len(values)
        )
        whole = values.is_valid().to_pylist()
    else:
        there = whole = values.is_valid().to_pylist()
        paths = [None] * len(values)
    places = enumerate(zip(there, whole, paths, strict=True), start=place.line + 1)
    # A pair without bytes names a file.
    return [
        picture_name(place.table, place.column, row) if has_bytes and is_there else (path or "") if is_there else ""
        for row, (has_bytes, is_there, path) in places
    ]


def _texts(column: Any, place: str) -> list[str]:
    """The cells of a column of strings, "" for none. Arrow checks for UTF-8 only here."""
    try:
        texts: list[str] = column.fill_null("").to_pylist()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise CatalogError(f"{place}: byte 0x{byte:02x} is no UTF-8; write it again with its text in UTF-8") from error
    return texts
