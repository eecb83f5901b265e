"""Cells of a file of corrections, also after a spreadsheet has saved it: separators, encodings, workbooks, lost zeros.

The names of the columns are known, so what separates them is certain.
"""

import codecs
import csv
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from training.catalog.formats.errors import CatalogError

SEPARATORS = (",", ";", "\t", "|")
_WORKBOOK = b"PK\x03\x04"
_SEP_LINE = re.compile(r'"?sep=.?"?\s*', re.IGNORECASE)
# The letters of cp1254 (Turkish) at the places where cp1252 has those of Icelandic. All other places are equal.
_TURKISH = re.compile(rb"[\xd0\xdd\xde\xf0\xfd\xfe]")
# A word that mixes these letters with plain ones is of a Latin alphabet; any other text may be of any encoding.
_LATIN = re.compile(rb"(?<=[A-Za-z])[\x80-\xff]{1,2}|[\x80-\xff]{1,2}(?=[A-Za-z])")
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")
Lines = list[tuple[int, list[str]]]


def read_table(path: Path, known: Collection[str]) -> tuple[list[str], Lines]:
    """The header and the rows with their line numbers; blank rows are skipped, and so are columns without any cell.

    Args:
        known: possible names of columns.

    Raises:
        CatalogError: the file cannot be read as a table.
    """
    try:
        content = path.read_bytes()
        lines = _workbook(content) if content.startswith(_WORKBOOK) else _delimited(_text(content), known)
    except (OSError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile, KeyError) as error:
        raise CatalogError(f"{path} cannot be read as a CSV of corrections ({error})") from error
    filled = [(line, cells) for line, cells in lines if any(cell.strip() for cell in cells)]
    if not filled:
        return [], []
    (_, header), *rows = filled
    width = max(len(cells) for _, cells in filled)
    names = [*(name.strip() for name in header), *[""] * (width - len(header))]
    used = [place for place in range(width) if names[place] or any(_cell(cells, place) for _, cells in rows)]
    whole = len(header)
    return [names[place] for place in used], [
        (line, [_cell(cells, place) for place in used] if len(cells) >= whole else cells) for line, cells in rows
    ]


def with_zeros(ids: Sequence[str], known: Iterable[str]) -> list[str]:
    """The ids with the leading zeros that a spreadsheet has taken away, where a single product can be meant.

    Args:
        known: ids of the catalogue.
    """
    there = set(known)
    short: dict[str, set[str]] = defaultdict(set)
    for each in there:
        short[each.lstrip("0")].add(each)
    return [
        each if each in there or not each.isdecimal() or len(meant := short[each.lstrip("0")]) != 1 else min(meant)
        for each in ids
    ]


def spreadsheet_damage(ids: Iterable[str], known: Mapping[str, str] | Collection[str]) -> str:
    """What a spreadsheet may have done to ids that the catalogue does not have; "" if nothing shows it."""
    ids, there = list(ids), {each.lstrip("0") for each in known}
    if any(_SHORTENED.fullmatch(each) for each in ids):
        return "; a spreadsheet has shortened long numbers: format the column id as text, or correct the CSV itself"
    if any(each.isdecimal() and each.lstrip("0") in there for each in ids):
        return "; a spreadsheet has taken away leading zeros, and several products can be meant: write the ids in full"
    return ""


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place].strip() if place < len(cells) else ""


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if not _LATIN.sub(b"", content).isascii():
            raise
        return content.decode("cp1254" if _TURKISH.search(content) else "cp1252")


def _delimited(text: str, known: Collection[str]) -> Lines:
    first, _, rest = text.partition("\n")
    skipped = 0
    if _SEP_LINE.fullmatch(first):
        text, skipped = rest, 1
    header = text.lstrip("\r\n").partition("\n")[0]
    separator = max(SEPARATORS, key=lambda each: sum(name.strip(' "\r') in known for name in header.split(each)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [(reader.line_num + skipped, row) for row in reader]


def _workbook(content: bytes) -> Lines:
    from openpyxl import load_workbook  # noqa: PLC0415 - a CSV does not need it

    sheet = load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[0]
    return [(line, [_shown(cell) for cell in row]) for line, row in enumerate(sheet.iter_rows(values_only=True), 1)]


def _shown(cell: object) -> str:
    """A cell as text; a whole number has no fraction."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
