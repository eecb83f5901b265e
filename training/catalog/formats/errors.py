"""What can be wrong with a catalogue, and with one of its rows."""

import lzma
import zipfile
import zlib

# Errors on opening or reading a file, or an entry of a zip that is damaged, encrypted or compressed in another way.
READ_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError)


class CatalogError(ValueError):
    """A problem with a catalogue that its owner can fix; the message says what, where and how."""


class RowError(CatalogError):
    """The reason why one row cannot be used.

    Args:
        reason: a stable name, such as ``image_missing``.
        detail: for the person who fixes it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, str]]:
        return RowError, (self.reason, self.detail)
