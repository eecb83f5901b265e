"""Rows of an Excel workbook (XLSX)."""

import datetime
import itertools
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from training.catalog.formats.delimited import is_blank
from training.catalog.formats.errors import CatalogError, RowError
from training.catalog.formats.row import Columns, Reading, Row, check_names

LARGEST_SHEET = 4 * 2**30
LARGEST_TEXTS = 2**29
_BATCH = 1000


def read_workbook(stream: IO[bytes], reading: Reading) -> Columns:
    """Read the header of a workbook's first visible sheet with rows; its rows are read lazily.

    Raises:
        CatalogError: it cannot be read, has no rows, or would fill the memory; also while the rows are read.
    """
    _check_sizes(stream, reading.name)
    rows = _sheet_rows(stream, reading)
    first = next((row for row in rows if not is_blank(row.cells)), None)
    if first is None:
        raise CatalogError(f"{reading.name} is empty: a header and one product a row are expected")
    check_names(reading.names, first.cells, reading.name)
    header = list(reading.names) or [cell.strip() for cell in first.cells]
    while header and not header[-1]:
        header.pop()
    below = itertools.chain([first], rows) if reading.names else rows
    return Columns(header, _fitted(below, len(header)))


def _check_sizes(stream: IO[bytes], name: str) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise CatalogError(f"{name} is no complete Excel workbook ({error}): save or download it again") from error
    texts = sum(each.file_size for each in entries if each.filename == "xl/sharedStrings.xml")
    if texts > LARGEST_TEXTS or sum(each.file_size for each in entries) > LARGEST_SHEET:
        raise CatalogError(f"{name} is too large when it is unpacked: save it as CSV UTF-8")


def _sheet_rows(stream: IO[bytes], reading: Reading) -> Iterator[Row]:
    rows = enumerate(_values(stream, reading), start=1)
    while True:
        # openpyxl warns of formatting that has no part in a table.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                batch = list(itertools.islice(rows, _BATCH))
            except CatalogError:
                raise
            except Exception as error:  # openpyxl raises errors of many kinds for a damaged workbook
                raise CatalogError(
                    f"{reading.name} cannot be read as an Excel workbook ({type(error).__name__}: {error}): "
                    "save it again, or as CSV UTF-8"
                ) from error
        if not batch:
            return
        for line, values in batch:
            yield Row(line, [_text(value) for value in values])


def read_sheet_path(stream: IO[bytes], reading: Reading) -> str:
    """The name, inside the workbook, of the sheet that :func:`read_workbook` reads.

    Raises:
        CatalogError: no sheet has cells.
    """
    return str(_filled(stream, reading)._worksheet_path)


def _values(stream: IO[bytes], reading: Reading) -> Iterator[Sequence[Any]]:
    yield from _rows_of(_filled(stream, reading))


def _filled(stream: IO[bytes], reading: Reading) -> Any:
    """The first visible sheet with rows."""
    from openpyxl import load_workbook  # noqa: PLC0415 - the import takes 0.3 s, and a CSV does not need it

    book = load_workbook(stream, read_only=True, data_only=True)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    if not sheets:
        raise CatalogError(f"{reading.name} has no sheet with cells")
    filled = next((sheet for sheet in sheets if any(map(any, itertools.islice(_rows_of(sheet), 20)))), sheets[0])
    if len(book.worksheets) > 1:
        reading.say(f"{reading.name} has {len(book.worksheets)} sheets: {filled.title!r} is read")
    return filled


def _rows_of(sheet: Any) -> Iterator[Sequence[Any]]:
    sheet.reset_dimensions()  # programs write wrong ones
    rows: Iterator[Sequence[Any]] = sheet.iter_rows(values_only=True)
    return rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _fitted(rows: Iterable[Row], columns: int) -> Iterator[Row]:
    """Rows with a cell for each column; a row ends with its last filled cell."""
    for row in rows:
        cells = [*row.cells, *[""] * (columns - len(row.cells))]
        if is_blank(cells[columns:]):
            yield row._replace(cells=cells[:columns])
        else:
            detail = f"has a cell in column {len(cells)}, the header has {columns} columns"
            yield Row(row.line, [], RowError("row_malformed", detail))
