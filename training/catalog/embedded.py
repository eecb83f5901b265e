"""Pictures inside a table: their bytes, unpacked once into a temporary file so that any of them is read at once.

A Parquet gives a row only together with its row group, which may be the whole file.
"""

import array
import contextlib
import os
import tempfile
import threading
import weakref
from typing import IO, TYPE_CHECKING, Any

from training.catalog.formats.errors import CatalogError, RowError
from training.catalog.formats.parquet import picture_batches, picture_place
from training.catalog.formats.streams import with_random_access

if TYPE_CHECKING:
    from training.catalog.files import CatalogFiles

_MISSING = -1


class EmbeddedPictures:
    """The pictures inside a catalogue's table; safe in threads and in forked processes.

    Args:
        files: the catalogue's files.
    """

    def __init__(self, files: "CatalogFiles") -> None:
        self._files = files
        self._stores: dict[str, _Store] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_files": self._files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_files"])  # type: ignore[misc]

    def has(self, name: str) -> bool:
        """True if the name is of a picture inside the table."""
        return picture_place(name, self._files.table_name) is not None

    def read(self, name: str, *, limit: int) -> bytes:
        """The bytes of a picture.

        Raises:
            RowError: ``image_missing``, or ``image_too_large`` for more than ``limit`` bytes.
            CatalogError: the table cannot be read, or there is no room for its pictures.
        """
        column, row = picture_place(name, self._files.table_name) or ("", 0)
        with self._lock:
            if column not in self._stores:
                self._stores[column] = _unpacked(self._files, column)
        return self._stores[column].read(row, name=name, limit=limit)


class _Store:
    """Pictures behind one another in a file without a name, which goes with its last user."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        weakref.finalize(self, file.close)
        self._starts = array.array("q")
        self._sizes = array.array("q")
        self._end = 0

    def add(self, picture: bytes | None) -> None:
        """Add the picture of the next row."""
        self._starts.append(self._end)
        self._sizes.append(_MISSING if picture is None else len(picture))
        if picture:
            self._file.write(picture)
            self._end += len(picture)

    def flush(self) -> None:
        """Write what was added, so that it can be read."""
        self._file.flush()

    def read(self, row: int, *, name: str, limit: int) -> bytes:
        """The picture of a row, from 1."""
        if not 1 <= row <= len(self._sizes) or self._sizes[row - 1] == _MISSING:
            raise RowError("image_missing", f"{name!r} is not there: the row has no picture")
        size = self._sizes[row - 1]
        if size > limit:
            raise RowError("image_too_large", f"{name!r} has more than {limit / 1e6:g} MB")
        return os.pread(self._file.fileno(), size, self._starts[row - 1])


def _unpacked(files: "CatalogFiles", column: str) -> _Store:
    folder = tempfile.gettempdir()
    try:
        store = _Store(tempfile.TemporaryFile())  # noqa: SIM115 - it lives as long as the store
        with contextlib.ExitStack() as stack:
            parts = [
                (name, with_random_access(stack.enter_context(files.open_table(name)), name, stack))
                for name in (files.table_name, *files.further_parts)
            ]
            for batch in picture_batches(parts, column):
                for picture in batch:
                    store.add(picture)
        store.flush()
    except OSError as error:
        raise CatalogError(
            f"the pictures of {files.table_name} cannot be unpacked into {folder} ({error.strerror or error}): make "
            "room there, or set TMPDIR to a folder on another disk"
        ) from error
    return store
