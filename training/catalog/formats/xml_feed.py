"""Rows of an XML: a merchant feed (RSS, Atom), or any file with an element for each product.

Nothing outside the file is read, and a file that declares entities is refused: a few of them can fill the memory.
"""

from collections.abc import Iterator
from typing import IO, Any
from xml.parsers import expat

from training.catalog.formats.errors import READ_ERRORS, CatalogError
from training.catalog.formats.records import Record, tabulate
from training.catalog.formats.row import Columns, Reading

RECORDS = ("item", "entry", "product", "offer", "row", "record")
_CHUNK = 2**16
_LONGEST_RECORD = 2**24


def read_xml(stream: IO[bytes], reading: Reading) -> Columns:
    """Read the columns of an XML; its rows are read lazily.

    A column is the name of an element inside a product, without its namespace, or of one of the product's attributes.
    Of several elements with one name the first one counts. A row's line is the number of its product, since a file
    may be one line.

    Raises:
        CatalogError: it is not well-formed, declares entities, or has no product; also while the rows are read.
    """
    return tabulate(_records(stream, reading), reading)


def _records(stream: IO[bytes], reading: Reading) -> Iterator[Record]:
    collector = _Collector(reading)
    try:
        stream.seek(0)
        while chunk := stream.read(_CHUNK):
            collector.feed(chunk)
            yield from collector.taken()
        collector.feed(b"", last=True)
        yield from collector.taken()
    except READ_ERRORS as error:
        raise CatalogError(f"{reading.name} cannot be read: {error}") from error
    collector.finish()


class _Collector:
    """Collects the values of each product while the parser goes through the file."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._parser: Any = expat.ParserCreate(reading.encoding)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._entity
        self._found: list[Record] = []
        self._root = self._record_tag = ""
        self._depth = self._record_depth = self._line = self._size = self._number = 0
        self._path: list[str] = []
        self._values: dict[str, str] = {}
        self._parts: list[str] = []
        self._repeated: dict[str, int] = {}

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Parse the next bytes."""
        name = self._reading.name
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            raise CatalogError(
                f"{name}, line {error.lineno}: is no well-formed XML ({expat.ErrorString(error.code)}); "
                "in a text & is written &amp; and < is written &lt;, and --encoding names an encoding that is no UTF-8"
            ) from error
        except CatalogError:
            raise
        except (LookupError, ValueError) as error:
            raise CatalogError(f"{name} names an encoding that is not known here ({error})") from error

    def taken(self) -> list[Record]:
        """The products since the last call."""
        found, self._found = self._found, []
        return found

    def finish(self) -> None:
        """Say what was left out, or that there was no product.

        Raises:
            CatalogError: the file has no element for a product.
        """
        if not self._record_tag:
            known = ", ".join(f"<{each}>" for each in RECORDS)
            raise CatalogError(
                f"{self._reading.name} is XML with the root <{self._root}>, without an element for each product; "
                f"known are {known}"
            )
        for name, count in self._repeated.items():
            self._reading.say(f"{count:,} products have <{name}> several times: the first one counts")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = _local(tag)
        self._root = self._root or tag
        self._depth += 1
        is_record = tag.lower() in RECORDS if not self._record_tag else tag == self._record_tag
        if not self._record_depth and is_record and self._depth > 1:
            self._record_tag, self._record_depth = tag, self._depth
            self._line, self._size = self._parser.CurrentLineNumber, 0
            self._values = {_local(name): value for name, value in attributes.items()}
            self._path, self._parts = [], []
        elif self._record_depth:
            self._path.append(tag)
            self._parts = []

    def _text(self, text: str) -> None:
        if self._record_depth:
            self._size += len(text)
            if self._size > _LONGEST_RECORD:
                raise CatalogError(f"{self._reading.name}, line {self._line}: a product is longer than 16 MiB")
            self._parts.append(text)

    def _end(self, tag: str) -> None:
        if self._record_depth == self._depth:
            self._number += 1
            self._found.append((self._number, self._values))
            self._record_depth = 0
        elif self._record_depth:
            value, name = "".join(self._parts).strip(), ".".join(self._path)
            if value and self._values.get(name):
                self._repeated[name] = self._repeated.get(name, 0) + 1
            elif value or len(self._path) == 1:
                self._values[name] = value
            self._path.pop()
            self._parts = []
        self._depth -= 1

    def _entity(self, name: str, *_: Any) -> None:
        raise CatalogError(
            f"{self._reading.name} declares the entity {name!r}, which is not read: entities can fill the memory or "
            "name other files; write their text instead"
        )


def _local(tag: str) -> str:
    """A name without its namespace: ``g:id`` is ``id``."""
    return tag.rpartition(":")[2]
