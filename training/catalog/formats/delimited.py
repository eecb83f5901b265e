"""Rows of a text with separators: commas, semicolons, tabs or bars, quoted as in RFC 4180.

Rows are read lazily, so memory holds one row.
"""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

from training.catalog.formats.encoding import MAX_LINE_BYTES
from training.catalog.formats.errors import READ_ERRORS, CatalogError, RowError
from training.catalog.formats.row import Columns, Reading, Row, check_names
from training.catalog.formats.streams import as_text

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
KAGGLE_ID = "id"
KAGGLE_TITLE = "productDisplayName"
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 40, 2**18


def read_delimited(stream: IO[bytes], encoding: str, reading: Reading) -> Columns:
    """Read the header of a text with separators; its rows are read lazily.

    In the Kaggle layout each line is one row and titles with commas are not quoted, so extra cells belong to the title.

    Raises:
        CatalogError: there is no header, or a quote is never closed; also while the rows are read.
    """
    # The csv module refuses cells above 131,072 characters, or above what another library has set for the process.
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _lines(stream, encoding, reading)
    sample, separator, after = _sampled(lines)
    every = itertools.chain(sample, lines)
    records = _records(every, separator, reading.name, after=after)
    first = next((row for row in records if row.fault or not is_blank(row.cells)), None)
    if first is None:
        raise CatalogError(f"{reading.name} is empty: a header and one product a line are expected")
    if first.fault is not None:
        raise CatalogError(f"{reading.name}, line {first.line}, the header: {first.fault.detail}")
    check_names(reading.names, first.cells, reading.name)
    header = list(reading.names) or _names(first.cells)
    if reading.names:
        records = itertools.chain([first], records)
    elif is_kaggle(header, reading.image_column):
        records = _kaggle_records(every, header, separator, after=first.line)
    return Columns(header, _fitted(records, len(header), separator))


class Layout(NamedTuple):
    """How rows lie in a text.

    Attributes:
        separator: of the cells.
        after: number of lines before the header.
        is_kaggle: each line is one row, see :func:`read_delimited`.
    """

    separator: str
    after: int
    is_kaggle: bool


def table_layout(stream: IO[bytes], encoding: str, reading: Reading) -> Layout:
    """The layout that :func:`read_delimited` finds.

    Raises:
        CatalogError: as there.
    """
    header = read_delimited(stream, encoding, reading).header
    _, separator, after = _sampled(_lines(stream, encoding, reading))
    return Layout(separator, after, not reading.names and is_kaggle(header, reading.image_column))


def _sampled(lines: Iterator[str]) -> tuple[list[str], str, int]:
    """The first lines, the separator, and the number of lines before them that are none of the table."""
    sample = _sample(lines)
    if sample and (named := _SEP_LINE.fullmatch(sample[0])):
        return sample[1:] or _sample(lines), named[1], 1
    return sample, _separator(sample), 0


def is_kaggle(header: Sequence[str], image_column: str) -> bool:
    """True for the layout of *Fashion Product Images*, where the id names the picture."""
    return {KAGGLE_ID, KAGGLE_TITLE} <= set(header) and image_column in ("image", "") and "image" not in header


def is_blank(cells: Sequence[str]) -> bool:
    """True for a row of empty cells alone, as spreadsheets leave them behind."""
    return not any(map(str.strip, cells))


def _names(cells: Sequence[str]) -> list[str]:
    """Names of the columns: without the empty ones at the end of the header."""
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def _lines(stream: IO[bytes], encoding: str, reading: Reading) -> Iterator[str]:
    r"""Lines with their ends: ``\n``, ``\r\n`` or ``\r``."""
    text = as_text(stream, encoding)
    try:
        first = next(text, "").removeprefix("\ufeff")
        if first:
            yield first
        yield from text
    except UnicodeError as error:
        raise CatalogError(f"{reading.name} has changed while it was read: read it again") from error
    except READ_ERRORS as error:
        raise CatalogError(f"{reading.name} cannot be read: {error}") from error


def _sample(lines: Iterator[str]) -> list[str]:
    """The first lines, which show the separator."""
    sample, characters = [], 0
    for line in lines:
        sample.append(line)
        characters += len(line)
        if len(sample) == _SAMPLE_LINES or characters > _SAMPLE_CHARACTERS:
            break
    return sample


def _separator(sample: Sequence[str]) -> str:
    """The separator that gives the header several columns; of several, the one that most rows agree with."""
    best, most = ",", (0.0, 1)
    for separator in SEPARATORS:
        agreement = _agreement(sample, separator)
        if agreement > most:
            best, most = separator, agreement
    return best


def _agreement(sample: Sequence[str], separator: str) -> tuple[float, int]:
    """The share of rows, in tenths, with as many cells as the header, and the number of its columns."""
    try:
        rows = [row for row in csv.reader(sample, delimiter=separator) if not is_blank(row)]
    except csv.Error:
        return 0.0, 0
    columns = len(_names(rows[0])) if rows else 0
    if columns < 2:
        return 0.0, 0
    # The sample may end within a row.
    sizes = [_size(row) for row in rows[1:-1] or rows[1:]]
    fitting = sum(size == columns or (size < columns == len(row)) for size, row in zip(sizes, rows[1:], strict=False))
    return (round(fitting / len(sizes), 1) if sizes else 1.0) + 0.01, columns


def _size(row: Sequence[str]) -> int:
    return len(_names(row))


def _records(lines: Iterable[str], separator: str, name: str, *, after: int) -> Iterator[Row]:
    """Rows as in RFC 4180; blank lines are skipped. ``after`` lines came before."""
    reader = csv.reader(lines, strict=True, delimiter=separator)
    while True:
        line = reader.line_num + after + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                raise CatalogError(f"{name}, line {line}: the quote opened there is never closed") from error
            if "field limit" in str(error):
                raise CatalogError(
                    f"{name}, line {line}: a cell is longer than {MAX_LINE_BYTES // 2**20} MiB; is a quote open?"
                ) from error
            yield Row(line, [], RowError("row_malformed", f"{error}; a quote inside quotes is written twice"))
            continue
        if cells:
            yield Row(line, cells)


def _kaggle_records(lines: Iterable[str], header: Sequence[str], separator: str, *, after: int) -> Iterator[Row]:
    """One row for each line after the header's line number ``after``; extra cells belong to the title."""
    title = header.index(KAGGLE_TITLE)
    for number, line in enumerate(lines, start=after + 1):
        if not line.strip():
            continue
        cells = kaggle_cells(line.rstrip("\r\n"), separator)
        extra = max(0, len(cells) - len(header))
        whole = separator.join(cells[title : title + extra + 1])
        yield Row(number, [*cells[:title], whole, *cells[title + extra + 1 :]])


def kaggle_cells(line: str, separator: str) -> list[str]:
    """The cells of a line in the Kaggle layout."""
    try:
        return next(csv.reader([line], strict=True, delimiter=separator))
    except csv.Error:
        # A title may hold a single quote character, as in 3.5" heel; then quotes in this line are plain text.
        return line.split(separator)


def _fitted(rows: Iterable[Row], columns: int, separator: str) -> Iterator[Row]:
    """Rows with a cell for each column; one with another number of cells has a fault."""
    for row in rows:
        if len(row.cells) == columns or row.fault is not None or is_blank(row.cells):
            yield row
            continue
        cells = list(row.cells)
        while len(cells) > columns and not cells[-1].strip():
            cells.pop()
        if len(cells) == columns:
            yield row._replace(cells=cells)
            continue
        detail = f"has {len(cells)} cells, the header {columns}; quote a cell that holds {_named(separator)}"
        yield Row(row.line, [], RowError("row_malformed", detail))


def _named(separator: str) -> str:
    return SEPARATORS.get(separator, repr(separator))
