"""A catalogue's CSV as rows: decoded, split into cells, each with its line number; what cannot be split says why."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from training.catalog_files import CatalogError, RowError

IMAGE_COLUMN = "image"
KAGGLE_ID = "id"
KAGGLE_TITLE = "productDisplayName"
ENCODING_HELP = "save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8')"


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        line: of the file where it starts, from 1.
        cells: one for each column; empty where ``fault`` says why there are none.
        fault: what is wrong with the row as a row.
    """

    line: int
    cells: Sequence[str]
    fault: RowError | None = None


class Table(NamedTuple):
    """A header and the rows below it; ``is_kaggle``: laid out as *Fashion Product Images*."""

    header: Sequence[str]
    rows: Sequence[Row]
    is_kaggle: bool


def read_table(content: bytes, *, name: str, image_column: str) -> Table:
    """Split a CSV into rows.

    A table with the columns ``id`` and ``productDisplayName`` and no column ``image`` has the Kaggle layout: one line a
    row, nothing quoted, so that the cells beyond the header's length belong to the title. Elsewhere quotes work as
    in RFC 4180, and a row of another length is at fault.

    Args:
        content: the file.
        name: what messages call it.
        image_column: the column of pictures; another one than ``image`` rules out the Kaggle layout.

    Raises:
        CatalogError: the file is empty, no UTF-8, holds NUL bytes, or has no rows.
    """
    text = _decode(content, name)
    lines = _records(text, name)
    first = next(lines, Row(1, [], RowError("row_malformed", "there is none")))
    if first.fault is not None:
        raise CatalogError(f"{name}, line {first.line}, the header: {first.fault.detail}")
    header = [cell.strip() for cell in first.cells]
    is_kaggle = {KAGGLE_ID, KAGGLE_TITLE} <= set(header) and image_column == IMAGE_COLUMN not in header
    if is_kaggle:
        lines = _kaggle_records(text, header, after=first.line)
    rows = [_fitted(row, len(header)) for row in lines]
    if not rows:
        raise CatalogError(f"{name} has a header and no rows: one product a line is expected")
    return Table(header, rows, is_kaggle)


def _decode(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogError(
            f"{name}, line {line}: byte 0x{content[error.start]:02x} is no UTF-8; {ENCODING_HELP}"
        ) from error
    if not text.strip():
        raise CatalogError(f"{name} is empty: a header and one product a line are expected")
    if (at := text.find("\0")) >= 0:
        raise CatalogError(f"{name}, line {text.count(chr(10), 0, at) + 1}: holds a NUL byte; {ENCODING_HELP}")
    return text


def _records(text: str, name: str) -> Iterator[Row]:
    """Rows by the rules of RFC 4180; blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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


def _kaggle_records(text: str, header: Sequence[str], *, after: int) -> Iterator[Row]:
    """One row a line, those ``after`` the header's; what a line has too many belongs to the title."""
    title = header.index(KAGGLE_TITLE)
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if number <= after or not line.strip():
            continue
        cells = _kaggle_cells(line.rstrip("\r\n"))
        extra = max(0, len(cells) - len(header))
        yield Row(number, [*cells[:title], ",".join(cells[title : title + extra + 1]), *cells[title + extra + 1 :]])


def _kaggle_cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        # A title may hold a lone quote, as in 3.5" heel; then no quote of the line means anything.
        return line.split(",")


def _fitted(row: Row, columns: int) -> Row:
    cells = list(row.cells)
    while len(cells) > columns and not cells[-1].strip():
        cells.pop()
    if row.fault is not None or len(cells) == columns:
        return row._replace(cells=cells)
    detail = f"has {len(cells)} cells, the header {columns}; quote a cell that holds a comma"
    return Row(row.line, [], RowError("row_malformed", detail))
