"""Ids that were seen, on the disk: of a catalogue of any length, in the memory of one cache."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from client.api.errors import ClientError

CACHE_KIB = 32 * 1024


class Scratch:
    """A database for one run, made anew: nothing of it is kept, so nothing is synced to the disk.

    Args:
        path: of its file; one that is there is written over.

    Raises:
        ClientError: the disk is full or cannot be written to; so do all methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error
        for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{CACHE_KIB}"):
            self.execute(f"PRAGMA {setting}")
        self.execute("BEGIN")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it has changed."""
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """What a query finds, read as it is asked for."""
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _unwritable(self, error: sqlite3.OperationalError) -> ClientError:
        return ClientError(
            f"{self._path} cannot be written ({error}); mend that, then give the same command again: "
            "it goes on where it stopped"
        )


class DiskIds:
    """Ids with the line that had each first; what :func:`training.catalog.rows.open_rows` remembers them in.

    Args:
        path: of a database that is made anew, and removed at the end of the ``with`` block.

    Raises:
        ClientError: the disk is full or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scratch = Scratch(path)
        self._scratch.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def setdefault(self, id: str, line: int, /) -> int:
        """Remember the line of an id that is new; the line that had it first."""
        if self._scratch.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (id, line)):
            return line
        [(first,)] = self._scratch.rows("SELECT line FROM seen WHERE id = ?", (id,))
        return int(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()
        self._path.unlink(missing_ok=True)
