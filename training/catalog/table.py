"""Read a catalogue's table: a CSV or a Parquet, row by row, each with its line number and its cells or its fault.

Rows are read lazily, so memory holds one row of a CSV, or one batch of a Parquet.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, NamedTuple

from training.catalog.files import READ_ERRORS, CatalogError, RowError

IMAGE_COLUMN = "image"
KAGGLE_ID = "id"
KAGGLE_TITLE = "productDisplayName"
PARQUET = ".parquet"
ENCODING_HELP = "save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8')"
MAX_LINE_BYTES = 16 * 2**20
FORMULA = re.compile(r"[=+\-@\t\r]")
_PARQUET_ROWS = 4096


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        line: the line in the file where the row starts, from 1.
        cells: one for each column; empty if there is a ``fault``.
        fault: the reason why the row cannot be split into cells; None if it can.
    """

    line: int
    cells: Sequence[str]
    fault: RowError | None = None


class CatalogTable(NamedTuple):
    """A header and its rows; ``is_kaggle`` marks the layout of *Fashion Product Images*."""

    header: Sequence[str]
    rows: Iterable[Row]
    is_kaggle: bool


def open_table(stream: IO[bytes], *, name: str, image_column: str) -> CatalogTable:
    """Read a table's header; its rows are read lazily, once.

    A table with the columns ``id`` and ``productDisplayName``, but no column ``image``, has the Kaggle layout: the id
    names the picture. In its CSV each line is one row and titles with commas are not quoted, so extra cells belong to
    the title. Other CSVs follow RFC 4180; a row with another number of cells than the header has a fault.

    Args:
        name: its name, for messages; if it ends in ``.parquet``, the file is read as a Parquet.
        image_column: column of the pictures; if it is not ``image``, the table does not have the Kaggle layout.

    Raises:
        CatalogError: the file is empty or not UTF-8, holds NUL bytes, or has no rows; also while the rows are read.
    """
    if name.lower().endswith(PARQUET):
        header, rows = _open_parquet(stream, name)
        return CatalogTable(header, _at_least_one(rows, name), _is_kaggle(header, image_column))
    lines = _lines(stream, name)
    records = _records(lines, name)
    first = next(records, Row(1, [], RowError("row_malformed", "there is none")))
    if first.fault is not None:
        raise CatalogError(f"{name}, line {first.line}, the header: {first.fault.detail}")
    header = [cell.strip() for cell in first.cells]
    is_kaggle = _is_kaggle(header, image_column)
    if is_kaggle:
        records = _kaggle_records(lines, header, after=first.line)
    return CatalogTable(header, _at_least_one((_fitted(row, len(header)) for row in records), name), is_kaggle)


def _is_kaggle(header: Sequence[str], image_column: str) -> bool:
    return {KAGGLE_ID, KAGGLE_TITLE} <= set(header) and image_column == IMAGE_COLUMN not in header


def _at_least_one(rows: Iterable[Row], name: str) -> Iterator[Row]:
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise CatalogError(f"{name} has a header and no rows: one product a line is expected")


def _lines(stream: IO[bytes], name: str) -> Iterator[str]:
    r"""Lines with their ends: ``\n``, ``\r\n`` or ``\r``."""
    blank = True
    for number, line in enumerate(iter(lambda: _read_line(stream, name), b""), start=1):
        text = _decode(line, number, name)
        if number == 1:
            text = text.removeprefix("\ufeff")
        blank = blank and not text.strip()
        # Old Mac files end lines with a single \r, which readline does not split at.
        yield from io.StringIO(text, newline="") if "\r" in text.rstrip("\r\n") else (text,)
    if blank:
        raise CatalogError(f"{name} is empty: a header and one product a line are expected")


def _read_line(stream: IO[bytes], name: str) -> bytes:
    try:
        return stream.readline(MAX_LINE_BYTES)
    except READ_ERRORS as error:
        raise CatalogError(f"{name} cannot be read: {error}") from error


def _decode(line: bytes, number: int, name: str) -> str:
    if len(line) == MAX_LINE_BYTES:
        raise CatalogError(f"{name}, line {number}: longer than {MAX_LINE_BYTES // 2**20} MiB; is it a CSV?")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"{name}, line {number}: byte 0x{line[error.start]:02x} is no UTF-8; {ENCODING_HELP}"
        ) from error
    if "\0" in text:
        raise CatalogError(f"{name}, line {number}: holds a NUL byte; {ENCODING_HELP}")
    return text


def _records(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Rows as in RFC 4180; blank lines are skipped."""
    reader = csv.reader(lines, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                raise CatalogError(f"{name}, line {line}: the quote opened there is never closed") from error
            yield Row(line, [], RowError("row_malformed", f"{error}; a quote inside quotes is written twice"))
            continue
        if cells:
            yield Row(line, cells)


def _kaggle_records(lines: Iterable[str], header: Sequence[str], *, after: int) -> Iterator[Row]:
    """One row for each line after the header's line number ``after``; extra cells belong to the title."""
    title = header.index(KAGGLE_TITLE)
    for number, line in enumerate(lines, start=after + 1):
        if not line.strip():
            continue
        cells = _kaggle_cells(line.rstrip("\r\n"))
        extra = max(0, len(cells) - len(header))
        yield Row(number, [*cells[:title], ",".join(cells[title : title + extra + 1]), *cells[title + extra + 1 :]])


def _kaggle_cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        # A title may hold a single quote character, as in 3.5" heel; then quotes in this line are plain text.
        return line.split(",")


def _fitted(row: Row, columns: int) -> Row:
    cells = list(row.cells)
    while len(cells) > columns and not cells[-1].strip():
        cells.pop()
    if row.fault is not None or len(cells) == columns:
        return row._replace(cells=cells)
    detail = f"has {len(cells)} cells, the header {columns}; quote a cell that holds a comma"
    return Row(row.line, [], RowError("row_malformed", detail))


def _open_parquet(stream: IO[bytes], name: str) -> tuple[list[str], Iterator[Row]]:
    """Names and rows of the columns with text, numbers or dates; a row's line is its number, from 1."""
    import pyarrow as pa  # noqa: PLC0415 - the import takes 0.2 s, and a CSV does not need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{name} cannot be read as a Parquet ({error}): write it again") from error
    tests = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    plain = [field.name for field in file.schema_arrow if not any(test(field.type) for test in tests)]
    return plain, _parquet_rows(file, plain, name)


def _parquet_rows(file: Any, columns: Sequence[str], name: str) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415

    line = 0
    try:
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
            place = f"{name}, behind row {line}, column "
            named = zip(batch.schema.names, batch.columns, strict=True)
            cells = [_texts(column.cast(pa.string()), f"{place}{title!r}") for title, column in named]
            for line, row in enumerate(zip(*cells, strict=True), start=line + 1):  # noqa: B020 - goes on counting
                yield Row(line, row)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{name}, behind row {line}: cannot be read ({error}); write it again") from error


def _texts(column: Any, place: str) -> list[str]:
    """The cells of a column of strings, "" for none. Arrow checks for UTF-8 only here."""
    try:
        texts: list[str] = column.fill_null("").to_pylist()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise CatalogError(f"{place}: byte 0x{byte:02x} is no UTF-8; write it again with its text in UTF-8") from error
    return texts


def escape_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; a plain number stays."""
    if FORMULA.match(text) and not re.fullmatch(r"[+-]?\d+([.]\d+)?", text):
        return f"'{text}"
    return text
