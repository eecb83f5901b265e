"""The text of a table and how it is encoded: its mark at the start, and an encoding that writes none."""

import codecs
from collections.abc import Iterator
from typing import IO, NamedTuple

from training.catalog.formats.errors import CatalogError
from training.catalog.formats.streams import as_text

# The mark of UTF-32 begins with that of UTF-16, so it comes first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PLAIN = {"utf-8-sig": "utf-8"}


class Encoded(NamedTuple):
    """How a text is encoded.

    Args:
        mark: its first bytes, if they are a mark; "" for none.
        encoding: of what comes after the mark.
    """

    mark: bytes
    encoding: str

    def bytes_of(self, text: str, *, name: str) -> bytes:
        """A text in this encoding.

        Raises:
            CatalogError: the encoding lacks one of its letters; the message names it.
        """
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise CatalogError(
                f"{name} is in {self.encoding}, which has no {error.object[error.start : error.end]!r} of a new label: "
                "save the table as UTF-8 first"
            ) from error


def encoded(stream: IO[bytes], encoding: str) -> Encoded:
    """How the text of a stream is encoded, if the reader found ``encoding``."""
    stream.seek(0)
    head = stream.read(4)
    mark, own = next(((mark, own) for mark, own in _MARKS if head.startswith(mark)), (b"", ""))
    if own and own.split("-")[0:2] == _PLAIN.get(encoding, encoding).split("-")[0:2]:
        return Encoded(mark, own)
    return Encoded(b"", _PLAIN.get(encoding, encoding))


def lines_of(stream: IO[bytes], how: Encoded) -> Iterator[str]:
    """The lines after the mark, with their ends."""
    text = as_text(stream, how.encoding)
    first = next(text, "")
    yield first.removeprefix("\ufeff") if how.mark else first
    yield from text
