"""A cell of the column of pictures: one name, several, a web address, or words for none."""

import ast
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from training.catalog.pictures.names import has_picture_suffix

# "no_selection" is Magento's.
NO_PICTURE = frozenset({"", "-", "n/a", "na", "nan", "none", "null", "no_selection", "[]", "{}"})
MAX_LIST_CHARS = 100_000
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|//[\w-]+(\.[\w-]+)+/|www\.[\w-]+\.", re.IGNORECASE)
_BEFORE_ADDRESS = re.compile(r"[\s,;|]+(?=(?:https?:)?//)", re.IGNORECASE)
_SEPARATORS = ("\n", "|", ";", ",")
_KEYS = ("url", "src", "path", "file", "filename", "image", "href")
_AROUND = " \t\r\n\"'"


class PictureCell(NamedTuple):
    """What a cell names.

    Attributes:
        names: of the files, in the cell's order.
        addresses: on the web, in the cell's order.
        says_none: the cell holds a word for "no picture".
    """

    names: Sequence[str] = ()
    addresses: Sequence[str] = ()
    says_none: bool = False


def is_address(name: str) -> bool:
    """True for a web address, also without its scheme (``//cdn.shop.com/a.jpg``, ``www.shop.com/a.jpg``)."""
    return _ADDRESS.match(name) is not None and name[:5].lower() != "file:"


def read_cell(cell: str, *, is_file: Callable[[str], bool]) -> PictureCell:
    """Split a cell of the column of pictures.

    A cell is several names if it is a JSON or Python list, or if it has ``|``, ``;``, ``,`` or line breaks between
    parts that all end as pictures do, or of which one is a file. A file with such a character in its name stays whole.

    Args:
        cell: without blanks around.
        is_file: True if a name leads to a picture.
    """
    if cell.lower() in NO_PICTURE:
        return PictureCell(says_none=bool(cell))
    parts = _listed(cell) or _separated(cell, is_file)
    parts = [part for part in dict.fromkeys(part.strip(_AROUND) for part in parts) if part.lower() not in NO_PICTURE]
    addresses = [part for part in parts if is_address(part)]
    return PictureCell([part for part in parts if not is_address(part)], addresses, not parts)


def _listed(cell: str) -> list[str]:
    """The texts of a list: JSON, as Python prints one, or as PostgreSQL does; empty for other cells."""
    if cell[0] + cell[-1] not in ("[]", "{}") or len(cell) > MAX_LIST_CHARS:
        return []
    for parse in (json.loads, ast.literal_eval):
        try:
            return _texts(parse(cell))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return [part for part in cell[1:-1].split(",") if part.strip()] if has_picture_suffix(cell[:-1]) else []


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple):
        return []
    texts = [
        next((each[key] for key in _KEYS if key in each), None) if isinstance(each, dict) else each for each in value
    ]
    return [each for each in texts if isinstance(each, str)]


def _separated(cell: str, is_file: Callable[[str], bool]) -> list[str]:
    if is_address(cell):
        return _BEFORE_ADDRESS.split(cell)
    if not any(separator in cell for separator in _SEPARATORS) or is_file(cell):
        return [cell]
    for separator in _SEPARATORS:
        parts = [part for part in (each.strip(_AROUND) for each in cell.split(separator)) if part]
        if separator in cell and parts and _are_pictures(parts, is_file):
            return [inner for part in parts for inner in (_BEFORE_ADDRESS.split(part) if is_address(part) else (part,))]
    return [cell]


def _are_pictures(parts: Sequence[str], is_file: Callable[[str], bool]) -> bool:
    return all(is_address(part) or has_picture_suffix(part) for part in parts) or any(map(is_file, parts))
