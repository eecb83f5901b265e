"""A temporary SQLite database, and a set of ids in it that needs the same memory for a catalogue of any length."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from client.api.errors import ClientError

CACHE_KIB = 32 * 1024


class ScratchDatabase:
    """A new, temporary database. Nothing in it has to survive a crash, so nothing is synced to the disk.

    Args:
        path: path of its file; an existing file is overwritten.

    Raises:
        ClientError: the disk is full or not writable; all methods raise this too.
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
        """Run a statement and return the number of changed rows."""
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query."""
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _unwritable(self, error: sqlite3.OperationalError) -> ClientError:
        return ClientError(
            f"{self._path} cannot be written ({error}); fix that, then run the same command again: "
            "it continues where it stopped"
        )


class DiskIds:
    """Ids and the first line of each, on the disk; for :func:`training.catalog.rows.open_rows`.

    Args:
        path: path of the database, which the end of the ``with`` block removes.

    Raises:
        ClientError: the disk is full or not writable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scratch = ScratchDatabase(path)
        self._scratch.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def setdefault(self, id: str, line: int, /) -> int:
        """Store the line of a new id; returns the first line of the id."""
        if self._scratch.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (id, line)):
            return line
        [(first,)] = self._scratch.rows("SELECT line FROM seen WHERE id = ?", (id,))
        return int(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()
        self._path.unlink(missing_ok=True)
