"""Replace values in JSON lines, or in a list of objects; every other character stays."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import IO, Any

from training.catalog.formats.row import Reading
from training.catalog.rewriting.changes import Changes
from training.catalog.rewriting.texts import encoded, lines_of

_SPACE = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def rewrite_json(stream: IO[bytes], encoding: str, reading: Reading, changes: Changes) -> Iterator[bytes]:
    """The records with other values. A list is held in memory.

    Raises:
        CatalogError: a new text cannot be written in the encoding.
    """
    how = encoded(stream, encoding)
    yield how.mark
    lines = lines_of(stream, how)
    begun = []
    for line in lines:
        begun.append(line)
        if line.strip():
            break
    if begun and begun[-1].lstrip().startswith("["):
        yield how.bytes_of(_list("".join([*begun, *lines]), changes), name=reading.name)
        return
    for number, text in enumerate(chain(begun, lines), start=1):
        yield how.bytes_of(_line(text, changes.get(number, {})), name=reading.name)


def _line(text: str, values: Mapping[str, str]) -> str:
    return _object(text, values) if values else text


def _list(text: str, changes: Changes) -> str:
    """The list with other values; its objects are numbered from 1."""
    at, number, parts, copied = text.index("[") + 1, 0, list[str](), 0
    while True:
        blank = _SPACE.match(text, at)
        at = blank.end() if blank else at
        if at >= len(text) or text[at] == "]":
            return "".join([*parts, text[copied:]])
        _, end = _DECODER.raw_decode(text, at)
        number += 1
        if values := changes.get(number):
            parts += [text[copied:at], _object(text[at:end], values)]
            copied = end
        at = end


def _object(text: str, values: Mapping[str, str]) -> str:
    """An object with other values; a key that it lacks is added at its end."""
    for key, new in values.items():
        spans = {name: (start, end, value) for name, start, end, value in _members(text)}
        if key in spans:
            start, end, value = spans[key]
            text = text[:start] + _written(new, value, text) + text[end:]
        else:
            end = text.rindex("}")
            comma = ", " if spans else ""
            text = f"{text[:end].rstrip()}{comma}{json.dumps(key)}: {_written(new, '', text)}{text[end:]}"
    return text


def _members(text: str) -> Iterator[tuple[str, int, int, Any]]:
    """Each key with the place and the value of its member."""
    at = text.index("{") + 1
    while True:
        at = _skipped(text, at)
        if text[at] == "}":
            return
        key, at = _DECODER.raw_decode(text, at)
        start = _skipped(text, text.index(":", at) + 1)
        value, at = _DECODER.raw_decode(text, start)
        yield str(key).strip(), start, at, value


def _skipped(text: str, at: int) -> int:
    blank = _SPACE.match(text, at)
    return blank.end() if blank else at


def _written(new: str, old: Any, around: str) -> str:
    """A text as JSON: a number where a number was, and with escapes where the object has no other letters."""
    if isinstance(old, int | float) and not isinstance(old, bool):
        try:
            if json.dumps(json.loads(new)) == new and isinstance(json.loads(new), int | float):
                return new
        except ValueError:
            return json.dumps(new, ensure_ascii=around.isascii())
    return json.dumps(new, ensure_ascii=around.isascii() and "\\u" in around)
