"""Replace cells in a text with separators; every other character stays, also quotes that need not be there."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from training.catalog.formats.delimited import KAGGLE_TITLE, kaggle_cells, table_layout
from training.catalog.formats.row import Reading
from training.catalog.rewriting.changes import Changes
from training.catalog.rewriting.texts import encoded, lines_of


def rewrite_delimited(
    stream: IO[bytes], encoding: str, reading: Reading, header: Sequence[str], changes: Changes
) -> Iterator[bytes]:
    """The table with other cells.

    Args:
        encoding: that the reader found.
        header: names of the columns.

    Raises:
        CatalogError: a new text cannot be written in the encoding.
    """
    how, layout = encoded(stream, encoding), table_layout(stream, encoding, reading)
    yield how.mark
    records = _kaggle_records if layout.is_kaggle else _records
    for line, record in records(lines_of(stream, how), layout.separator, after=layout.after):
        for column, text in changes.get(line, {}).items():
            record = _replaced(record, layout.separator, header, column, text, is_kaggle=layout.is_kaggle)  # noqa: PLW2901
        yield how.bytes_of(record, name=reading.name)


class _Recorder:
    """Lines that remembers those that were taken since the last look."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._taken.append(line)
            yield line

    def taken(self) -> str:
        """What was taken, as one text."""
        text = "".join(self._taken)
        self._taken.clear()
        return text


def _records(lines: Iterator[str], separator: str, *, after: int) -> Iterator[tuple[int, str]]:
    """The text of each row with its line; the first ``after`` lines are no rows."""
    for _, line in zip(range(after), lines, strict=False):
        yield 0, line
    recorder = _Recorder(lines)
    reader = csv.reader(recorder, strict=True, delimiter=separator)
    while True:
        line_number = reader.line_num + after + 1
        try:
            next(reader)
        except StopIteration:
            break
        except csv.Error:
            line_number = 0  # a row that cannot be read
        yield line_number, recorder.taken()
    yield 0, recorder.taken()


def _kaggle_records(lines: Iterator[str], separator: str, *, after: int) -> Iterator[tuple[int, str]]:
    del separator, after
    yield from enumerate(lines, start=1)


def _replaced(record: str, separator: str, header: Sequence[str], column: str, text: str, *, is_kaggle: bool) -> str:
    """The row with another text in one cell."""
    content = record.rstrip("\r\n")
    place, spans = list(header).index(column), _spans(content, separator)
    if is_kaggle:
        cells = kaggle_cells(content, separator)
        if len(cells) != len(spans):  # quotes in this line are plain text
            spans = _plain_spans(content, separator)
        place += max(0, len(cells) - len(header)) if place > header.index(KAGGLE_TITLE) else 0
    start, end = spans[place]
    was_quoted = content[start:end].startswith('"') and end - start > 1
    new = _cell(text, separator, quote=was_quoted)
    changed = content[:start] + new + content[end:]
    return changed + record[len(content) :]


def _cell(text: str, separator: str, *, quote: bool) -> str:
    if quote or any(each in text for each in (separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


def _spans(content: str, separator: str) -> list[tuple[int, int]]:
    """Start and end of each cell, as in RFC 4180: only a quote at the start of a cell opens one."""
    spans, start, at, quoted = [], 0, 0, False
    while at < len(content):
        letter = content[at]
        if letter == '"' and not quoted and at == start:
            quoted = True
        elif letter == '"' and quoted:
            if content[at + 1 : at + 2] == '"':
                at += 1
            else:
                quoted = False
        elif letter == separator and not quoted:
            spans.append((start, at))
            start = at + 1
        at += 1
    return [*spans, (start, len(content))]


def _plain_spans(content: str, separator: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for cell in content.split(separator):
        spans.append((start, start + len(cell)))
        start += len(cell) + 1
    return spans
