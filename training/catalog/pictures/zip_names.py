r"""Names of the files in a zip, as their owner knows them.

Windows writes ``\`` for ``/``, and names in a code page of DOS; macOS adds ``__MACOSX``, and writes UTF-8 without
saying so. ``zipfile`` reads every name that is not declared as UTF-8 as cp437.
"""

import contextlib
import os
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence

UTF_8_FLAG = 0x800
UNICODE_PATH = 0x7075
# Tried for names that are no UTF-8. A file is taken by such a name only if it is the only one.
CODE_PAGES = ("cp437", "cp850", "cp1252", "cp1254", "cp857", "cp1250", "cp852", "cp1251", "cp866", "cp932", "gbk")


def file_entries(entries: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by their names with ``/``; of two entries with one name the last counts, as in ``zipfile``."""
    files: dict[str, zipfile.ZipInfo] = {}
    foreign: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename
        if name.endswith(("/", "\\")):
            continue
        path = posixpath.normpath(declared_name(entry).replace("\\", "/")).lstrip("/")
        (files if path == name else foreign)[path] = entry
    return {**foreign, **files}


def declared_name(entry: zipfile.ZipInfo) -> str:
    """The name by the Unicode Path field of Info-ZIP if it has one, or UTF-8 that was not declared; else as read."""
    if entry.flag_bits & UTF_8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        raw = entry.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return entry.filename
    unicode_path = _unicode_path(entry.extra, raw)
    try:
        return (unicode_path or raw).decode("utf-8")
    except UnicodeDecodeError:
        return entry.filename


def other_spellings(name: str) -> Sequence[str]:
    """What a name may have been before it was read in a wrong code page; the name itself comes first.

    Args:
        name: of a file in a zip or on the disk, where a zip may have been unpacked; bytes that are no UTF-8 are lone
            surrogates, as in :func:`os.fsdecode`.
    """
    if name.isascii() or (raw := _raw(name)) is None:
        return (name,)
    try:
        return (name, raw.decode("utf-8"))
    except UnicodeDecodeError:
        return (name, *_decoded(raw))


def _raw(name: str) -> bytes | None:
    """The bytes that a name was read from, if it was read as cp437 or not at all."""
    try:
        return os.fsencode(name) if any("\udc80" <= letter <= "\udcff" for letter in name) else name.encode("cp437")
    except UnicodeEncodeError:
        return None


def _decoded(raw: bytes) -> Iterator[str]:
    for page in CODE_PAGES:
        with contextlib.suppress(UnicodeDecodeError):
            yield raw.decode(page)


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """The field's name, unless it belongs to another name (section 4.6.9 of the .ZIP File Format Specification)."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5 and struct.unpack("<xL", field[:5])[0] == zlib.crc32(raw):
            return field[5:]
    return None
