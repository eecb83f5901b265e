"""Read a catalogue's table, whatever its format: row by row, each with its line number and its cells or its fault.

The format is found by the content. Rows are read lazily, so memory holds one row of a CSV, or one batch of a Parquet.
"""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from training.catalog.formats import content
from training.catalog.formats.delimited import KAGGLE_ID, KAGGLE_TITLE, is_blank, is_kaggle, read_delimited
from training.catalog.formats.encoding import MAX_LINE_BYTES, find_encoding, preview
from training.catalog.formats.errors import READ_ERRORS, CatalogError
from training.catalog.formats.json_records import read_json
from training.catalog.formats.parquet import read_parquet
from training.catalog.formats.row import Columns, Reading, Row
from training.catalog.formats.streams import with_random_access
from training.catalog.formats.workbook import read_workbook
from training.catalog.formats.xml_feed import read_xml

__all__ = [
    "KAGGLE_ID",
    "KAGGLE_TITLE",
    "MAX_LINE_BYTES",
    "CatalogTable",
    "Row",
    "escape_formula",
    "open_table",
    "unescape_formula",
]

IMAGE_COLUMN = "image"
FORMULA = re.compile(r"[=+\-@\t\r]")
_DECOMPRESS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    content.GZIP: gzip.open,
    content.BZ2: bz2.open,
    content.XZ: lzma.open,
}


class CatalogTable(NamedTuple):
    """A header and its rows; ``is_kaggle`` marks the layout of *Fashion Product Images*."""

    header: Sequence[str]
    rows: Iterable[Row]
    is_kaggle: bool


def open_table(
    stream: IO[bytes],
    *,
    name: str,
    image_column: str,
    reading: Reading | None = None,
    further: Sequence[tuple[str, IO[bytes]]] = (),
) -> CatalogTable:
    """Read a table's header; its rows are read lazily, once. Rows of empty cells alone are skipped.

    A table with the columns ``id`` and ``productDisplayName``, but no column ``image``, has the Kaggle layout: the id
    names the picture. In its CSV each line is one row and titles with commas are not quoted, so extra cells belong to
    the title. Other CSVs follow RFC 4180; a row with another number of cells than the header has a fault.

    Args:
        stream: seekable.
        name: its name, for messages.
        image_column: column of the pictures; if it is not ``image``, the table does not have the Kaggle layout.
        reading: encoding, header and notes; None finds out the first two and says nothing.
        further: names and contents of the other parts of a Parquet.

    Raises:
        CatalogError: the file is of no kind that is read, is empty, broken, or in no encoding that is certain, or has
            no rows; also while the rows are read.
    """
    reading = reading or Reading(name=name, image_column=image_column)
    head = _head(stream, name)
    if not head and not name.lower().endswith(".parquet"):
        raise CatalogError(f"{name} is empty: a header and one product a line are expected")
    kind = content.kind_of(head, name)
    if kind in _DECOMPRESS:
        stream = _DECOMPRESS[kind](stream)
        head = _head(stream, name)
        kind = content.kind_of(head, f"{name} holds what")
        if kind in _DECOMPRESS:
            raise CatalogError(f"{name} is compressed twice: decompress it first")
    header, rows = _columns(stream, kind, head, reading, further)
    return CatalogTable(header, _with_cells(rows, reading), is_kaggle(header, image_column))


def _columns(
    stream: IO[bytes], kind: str, head: bytes, reading: Reading, further: Sequence[tuple[str, IO[bytes]]]
) -> Columns:
    if reading.encoding and kind != content.TEXT:
        reading.say(f"--encoding does not concern {reading.name}, which is no text")
    if kind == content.PARQUET:
        parts = [(reading.name if not further else f"{reading.name}, the first part", stream), *further]
        return read_parquet([(part, with_random_access(each, part, reading.closing)) for part, each in parts], reading)
    if kind == content.WORKBOOK:
        return read_workbook(with_random_access(stream, reading.name, reading.closing), reading)
    form = content.text_kind(preview(head), reading.name)
    if form == content.XML:  # which names its own encoding
        return read_xml(stream, reading)
    encoding = find_encoding(stream, head, reading)
    return (read_json if form == content.JSON else read_delimited)(stream, encoding, reading)


def _head(stream: IO[bytes], name: str) -> bytes:
    try:
        stream.seek(0)
        head = stream.read(content.HEAD_BYTES)
        stream.seek(0)
    except READ_ERRORS as error:
        raise CatalogError(f"{name} cannot be read: {error}") from error
    return head


def _with_cells(rows: Iterable[Row], reading: Reading) -> Iterator[Row]:
    """The rows without those of empty cells alone, which are counted."""
    empty, skipped = True, 0
    for row in rows:
        if row.fault is None and is_blank(row.cells):
            skipped += 1
            continue
        empty = False
        yield row
    if empty:
        raise CatalogError(f"{reading.name} has a header and no rows: one product a line is expected")
    if skipped:
        reading.say(f"{reading.name}: {skipped:,} rows of empty cells alone are skipped")


def escape_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; a plain number stays."""
    if FORMULA.match(text) and not re.fullmatch(r"[+-]?\d+([.]\d+)?", text):
        return f"'{text}"
    return text


def unescape_formula(cell: str) -> str:
    """The text of a cell that :func:`escape_formula` has written."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell[1:]) else cell
