"""The encoding of a text: its mark, UTF-8 or UTF-16 if it is certain, another one if its letters leave no doubt.

The whole file is looked at before the first row is read, so that a strange byte at its end is not found too late.
"""

import codecs
import itertools
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from training.catalog.formats.alphabets import certain_encoding
from training.catalog.formats.content import is_wide
from training.catalog.formats.errors import READ_ERRORS, CatalogError
from training.catalog.formats.row import Reading

ENCODING_HELP = "save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8')"
CHUNK_BYTES = 2**20
MAX_LINE_BYTES = 16 * 2**20
# Shown to the owner where the letters leave a doubt: usual ones of each part of the world.
OFFERED = ("cp1252", "cp1254", "cp1250", "cp1251", "cp1253", "cp1257", "shift_jis", "gb18030", "euc_kr", "big5")
_MOST_OFFERED = 4
_ASCII = bytes(range(0x80))
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_MOST_WORDS = 20_000
_UTF8 = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_SURROGATE = re.compile("[\ud800-\udfff]")
# The mark of UTF-32 begins with that of UTF-16, so it comes first.
_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class _Fault(NamedTuple):
    """The first byte that an encoding does not have, and the bytes around it."""

    line: int
    byte: int
    around: bytes


def preview(head: bytes) -> str:
    """The beginning of a text, in which at least the letters of ASCII are right."""
    return head.decode(_marked(head) or "latin-1", "ignore").removeprefix("\ufeff")


def _marked(head: bytes) -> str:
    """The encoding that the first bytes show for certain; "" for none."""
    return next((name for mark, name in _MARKED if head.startswith(mark)), "") or is_wide(head)


def find_encoding(stream: IO[bytes], head: bytes, reading: Reading) -> str:
    """The name of a text's encoding, after a look at the whole stream.

    Args:
        stream: seekable; it is at its start afterwards.
        head: its first bytes.

    Raises:
        CatalogError: the text is in no encoding that is certain, or holds a NUL or a line without an end.
    """
    if reading.encoding:
        chosen = _known(reading.encoding)
        fault = _first_fault(stream, chosen, reading.name)
        advice = "another --encoding is needed"
    else:
        chosen = _marked(head) or "utf-8"
        fault = _first_fault(stream, chosen, reading.name)
        advice = ENCODING_HELP
        if fault is not None and chosen == "utf-8" and (other := _other_encoding(stream, reading.name)):
            chosen, fault = other, None
        elif fault is not None:
            advice += _offers(fault.around)
        if fault is None and not chosen.startswith("utf-8"):
            reading.say(f"{reading.name} is read as {chosen}; --encoding names another encoding")
    if fault is not None:
        what = chosen.upper().removesuffix("-SIG") if chosen.startswith("utf") else chosen
        raise CatalogError(f"{reading.name}, line {fault.line}: byte 0x{fault.byte:02x} is no {what}; {advice}")
    stream.seek(0)
    return chosen


def _known(name: str) -> str:
    """The codec with this name; UTF-8 with or without its mark."""
    try:
        found = codecs.lookup(name)
        "a".encode(found.name)  # refuses what is a codec, but of no text
        codecs.getincrementaldecoder(found.name)
    except (LookupError, ValueError) as error:
        usual = ", ".join(("utf-8", "utf-16", *OFFERED))
        raise CatalogError(f"--encoding {name!r} is no encoding that is known here; usual ones: {usual}") from error
    return "utf-8-sig" if found.name == "utf-8" else found.name


def _first_fault(stream: IO[bytes], encoding: str, name: str) -> _Fault | None:
    """The first byte that the encoding does not have; None if the whole stream can be decoded.

    Raises:
        CatalogError: the text holds a NUL, half of a character, or a line that is too long.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    # In these a byte below 0x80 is always the character of ASCII, so bytes can be searched, which takes a tenth.
    is_plain = encoding.startswith(("utf-8", "cp125", "iso8859", "ascii"))
    open_line = 0
    for number, (chunk, last) in enumerate(_chunks(stream, name)):
        try:
            text = decoder.decode(chunk, last)
        except UnicodeDecodeError as error:
            content, at = error.object, error.start
            line = _line_at(stream, encoding, name, chunks=number, before=content[:at].decode(encoding, "replace"))
            return _Fault(line, content[at], content[max(0, at - 40) : at + 40])
        except UnicodeError as error:
            raise CatalogError(f"{name} is no {encoding} ({error}); {ENCODING_HELP}") from error
        if (strange := _strange(chunk if is_plain else text, text)) is not None:
            line = _line_at(stream, encoding, name, chunks=number, before=text[:strange])
            what = "half of a character" if text[strange] != "\0" else "a NUL byte"
            raise CatalogError(f"{name}, line {line}: holds {what}; {ENCODING_HELP}")
        first, end = _line_edges(chunk) if is_plain else _line_edges(text)
        if open_line + (len(text) if first < 0 else first) >= MAX_LINE_BYTES:
            line = _line_at(stream, encoding, name, chunks=number, before="")
            raise CatalogError(f"{name}, line {line}: longer than {MAX_LINE_BYTES // 2**20} MiB; is it a CSV?")
        open_line = open_line + len(text) if end < 0 else len(chunk if is_plain else text) - end - 1
    return None


def _chunks(stream: IO[bytes], name: str) -> Iterator[tuple[bytes, bool]]:
    """The stream from its start, with True for the end."""
    try:
        stream.seek(0)
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk, False
    except READ_ERRORS as error:
        raise CatalogError(f"{name} cannot be read: {error}") from error
    yield b"", True


def _strange(searched: bytes | str, text: str) -> int | None:
    """The place in the text of a NUL or of half a character; None if it has neither."""
    if isinstance(searched, bytes):
        return text.find("\0") if b"\0" in searched else None
    places = [text.find("\0"), half.start() if (half := _SURROGATE.search(text)) else -1]
    return min((place for place in places if place >= 0), default=None)


def _line_edges(text: Any) -> tuple[int, int]:
    """The places of the first and of the last end of a line; -1 for none."""
    feed, back = (b"\n", b"\r") if isinstance(text, bytes) else ("\n", "\r")
    last = text.rfind(feed)
    if last < 0:
        return text.find(back), text.rfind(back)
    return text.find(feed), last


def _line_at(stream: IO[bytes], encoding: str, name: str, *, chunks: int, before: str) -> int:
    """The number of the line behind some chunks and a text."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    line, after_return = 1, False
    texts = (decoder.decode(chunk) for chunk, _ in itertools.islice(_chunks(stream, name), chunks))
    for text in itertools.chain(texts, [before]):
        returns = text.count("\r")
        line += text.count("\n") + returns - text.count("\r\n") - (after_return and text.startswith("\n"))
        after_return = text.endswith("\r") or (after_return and not text)
    return line


def _other_encoding(stream: IO[bytes], name: str) -> str | None:
    """The 8-bit encoding of a text that is no UTF-8; None if there is a doubt."""
    found: set[int] = set()
    words: set[bytes] = set()
    utf8 = other = 0
    for chunk, _ in _chunks(stream, name):
        high = chunk.translate(None, _ASCII)
        found.update(high)
        utf8 += sum(len(each) for each in _UTF8.findall(chunk))
        other += len(high)
        if len(words) < _MOST_WORDS:
            words.update(_WORD.findall(chunk))
    # UTF-8 with some damage would become a text of nonsense.
    return None if utf8 * 2 > other else certain_encoding(found, words)


def _offers(around: bytes) -> str:
    """The words around a byte in the encodings that have them."""
    words = next((each for each in _WORD.findall(around) if len(each) > 1), around)
    texts: dict[str, str] = {}
    for encoding in OFFERED:
        try:
            texts.setdefault(words.decode(encoding), encoding)
        except UnicodeDecodeError:
            continue
    shown = [f"{encoding} reads {text!r}" for text, encoding in texts.items() if text.isprintable()][:_MOST_OFFERED]
    return f", or name its encoding with --encoding; there {', '.join(shown)}" if shown else ""
