"""A table's stream as text, or with access to any place in it; the stream itself stays open."""

import contextlib
import io
import shutil
import tempfile
from typing import IO, Any

from training.catalog.formats.errors import READ_ERRORS, CatalogError

_BUFFER_BYTES = 2**16
_IN_MEMORY = 2**20


class _Lent(io.RawIOBase):
    """A stream that somebody else closes; a ``TextIOWrapper`` would close it as soon as it is no longer used."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream: Any = stream

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """See :meth:`io.IOBase.seek`."""
        return int(self._stream.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        """See :meth:`io.RawIOBase.readinto`."""
        return int(self._stream.readinto(buffer))


def as_text(stream: IO[bytes], encoding: str) -> io.TextIOWrapper:
    """The text of a stream, with the ends of its lines as they are."""
    stream.seek(0)
    return io.TextIOWrapper(io.BufferedReader(_Lent(stream), _BUFFER_BYTES), encoding=encoding, newline="")


def with_random_access(stream: IO[bytes], name: str, closing: contextlib.ExitStack) -> IO[bytes]:
    """The stream, or a copy of it: inside a zip each step back reads the entry from its start.

    Args:
        closing: closes the copy.

    Raises:
        CatalogError: it cannot be read, or there is no room for the copy.
    """
    if isinstance(stream, io.BufferedReader | io.BytesIO):
        return stream
    copy: IO[bytes] = closing.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115
    try:
        stream.seek(0)
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
    except READ_ERRORS as error:
        raise CatalogError(f"{name} cannot be unpacked into {tempfile.gettempdir()}: {error}") from error
    return copy
