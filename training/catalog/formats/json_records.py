"""Rows of JSON: an object on each line (JSON lines), or a list of objects."""

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from training.catalog.formats.errors import READ_ERRORS, CatalogError, RowError
from training.catalog.formats.records import Record, tabulate
from training.catalog.formats.row import Columns, Reading
from training.catalog.formats.streams import as_text

_CHUNK = 2**16
_LONGEST = 2**24
_SPACE = re.compile(r"[\s,]*")
_ADVICE = "write one object on each line (JSON lines), or a list of objects"


def read_json(stream: IO[bytes], encoding: str, reading: Reading) -> Columns:
    """Read the columns of a JSON; its rows are read lazily.

    Numbers and truth values become texts, nested values JSON.

    Raises:
        CatalogError: it has another form; also while the rows are read.
    """
    text = as_text(stream, encoding)
    try:
        start = text.read(_CHUNK).lstrip("\ufeff \t\r\n")
        first = start.splitlines()[0] if start else ""
        text.seek(0)
    except (UnicodeError, *READ_ERRORS) as error:
        raise CatalogError(f"{reading.name} cannot be read: {error}") from error
    is_list = start.startswith("[")
    if not is_list and first.strip() == "{":
        raise CatalogError(f"{reading.name} is one JSON object over several lines: {_ADVICE}")
    return tabulate(_of_list(text, reading.name) if is_list else _of_lines(text, reading.name), reading)


def _of_lines(text: io.TextIOWrapper, name: str) -> Iterator[Record]:
    try:
        for number, line in enumerate(text, start=1):
            content = line.strip().lstrip("\ufeff")
            if content:
                yield number, _read(content)
    except (UnicodeError, *READ_ERRORS) as error:
        raise CatalogError(f"{name} cannot be read: {error}") from error


def _read(content: str) -> Any:
    try:
        return _values(json.loads(content))
    except (ValueError, RecursionError) as error:
        return RowError("row_malformed", f"is no JSON: {error}")


def _of_list(text: io.TextIOWrapper, name: str) -> Iterator[Record]:
    """The objects of one list, numbered from 1, one after the other: the file may be one line."""
    decoder, buffer, line, number = json.JSONDecoder(), text.read(_CHUNK), 1, 0
    at = buffer.index("[") + 1
    line += buffer.count("\n", 0, at)
    while True:
        begin = _SPACE.match(buffer, at)
        after = begin.end() if begin else at
        line, at = line + buffer.count("\n", at, after), after
        if buffer.startswith("]", at):
            return
        try:
            value, end = decoder.raw_decode(buffer, at)
            number += 1
            yield number, _values(value)
            line, at = line + buffer.count("\n", at, end), end
        except RecursionError as error:
            raise CatalogError(f"{name}, line {line}: is nested too deeply") from error
        except ValueError as error:
            more = text.read(max(_CHUNK, len(buffer) - at))
            if not more or len(buffer) - at > _LONGEST:
                raise CatalogError(f"{name}, line {line}: is no JSON object ({error}); {_ADVICE}") from error
            buffer, at = buffer[at:] + more, 0


def _values(value: Any) -> dict[str, str] | RowError:
    if not isinstance(value, dict):
        return RowError("row_malformed", f"is JSON, but no object; {_ADVICE}")
    cells = {str(key).strip(): _cell(each) for key, each in value.items()}
    try:
        joined = "".join(("".join(cells), *cells.values()))
        joined.encode()
    except UnicodeEncodeError:
        return RowError("row_malformed", "holds half of a character (a lone surrogate)")
    return RowError("row_malformed", "holds a NUL character") if "\0" in joined else cells


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
