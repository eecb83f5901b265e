"""Replace cells of an Excel workbook in the XML of its sheet; formats, formulas, pictures and other sheets stay."""

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from training.catalog.formats.errors import CatalogError
from training.catalog.formats.row import Reading
from training.catalog.formats.workbook import read_sheet_path
from training.catalog.rewriting.changes import Changes

# Programs write sheets with and without a prefix of the namespace.
_ROW = re.compile(r"<(?P<tag>(?:\w+:)?row)\b(?P<own>[^>]*?)(?:/>|>(?P<cells>.*?)</(?P=tag)>)", re.DOTALL)
_CELL = re.compile(r"<(?P<tag>(?:\w+:)?c)\b(?P<own>[^>]*?)(?:/>|>.*?</(?P=tag)>)", re.DOTALL)
_NUMBER = re.compile(r'\br="(\d+)"')
_PLACE = re.compile(r'\br="([A-Z]+)\d+"')
_STYLE = re.compile(r'\bs="\d+"')
_SHEET_TEXT = re.compile(r"<\?xml[^>]*encoding=[\"']([\w-]+)[\"']")


def rewrite_workbook(stream: IO[bytes], reading: Reading, header: Sequence[str], changes: Changes, out: Path) -> None:
    """Write the workbook with other cells in the sheet that is read.

    Raises:
        CatalogError: a row that should be changed is not in the sheet.
    """
    sheet = read_sheet_path(stream, reading)
    places = {name: number for number, name in reversed(list(enumerate(header, start=1)))}
    by_row = {row: {places[name]: text for name, text in cells.items()} for row, cells in changes.items()}
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == sheet:
                content = _sheet(content, by_row, reading.name)
            new.writestr(entry, content, compress_type=entry.compress_type)


def _sheet(content: bytes, changes: Mapping[int, Mapping[int, str]], name: str) -> bytes:
    named = _SHEET_TEXT.match(content[:200].decode("latin-1"))
    encoding = named[1] if named else "utf-8"
    number, left = 0, dict(changes)

    def row(found: re.Match[str]) -> str:
        nonlocal number
        told = _NUMBER.search(found["own"])
        number = int(told[1]) if told else number + 1
        cells = left.pop(number, None)
        if cells is None:
            return found[0]
        tag, own = found["tag"], found["own"]
        return f"<{tag}{own}>{_cells(found['cells'] or '', number, cells, prefix=tag[:-3])}</{tag}>"

    text = _ROW.sub(row, content.decode(encoding))
    if left:
        raise CatalogError(f"{name} has no row {min(left)} in its sheet: save it again, or as CSV UTF-8")
    return text.encode(encoding)


def _cells(content: str, row: int, changes: Mapping[int, str], *, prefix: str) -> str:
    """The cells of a row, some of them with other texts; a cell that is not there is added in its place."""
    parts, at, column, left = list[str](), 0, 0, dict(changes)
    for found in _CELL.finditer(content):
        place = _PLACE.search(found["own"])
        column = _number(place[1]) if place else column + 1
        parts.append(content[at : found.start()])
        parts += [_cell(left.pop(each), row, each, "", prefix) for each in sorted(left) if each < column]
        style = _STYLE.search(found["own"])
        parts.append(
            _cell(left.pop(column), row, column, f" {style[0]}" if style else "", prefix)
            if column in left
            else found[0]
        )
        at = found.end()
    parts.append(content[at:])
    return "".join([*parts, *(_cell(left[each], row, each, "", prefix) for each in sorted(left))])


def _cell(text: str, row: int, column: int, style: str, prefix: str) -> str:
    place = f"{_letters(column)}{row}"
    inside = f'<{prefix}is><{prefix}t xml:space="preserve">{escape(text)}</{prefix}t></{prefix}is>'
    return f'<{prefix}c r="{place}"{style} t="inlineStr">{inside}</{prefix}c>'


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
