"""Ids that were seen, on the disk: of a catalogue of any length, in the memory of one cache."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE_KIB = 32 * 1024


def open_scratch(path: Path) -> sqlite3.Connection:
    """A database for one run, made anew: nothing of it is kept, so nothing is synced to the disk."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{CACHE_KIB}"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN")
    return connection


class DiskIds:
    """Ids with the line that had each first; what :func:`training.catalog_rows.open_rows` remembers them in.

    Args:
        path: of a database that is made anew, and removed at the end of the ``with`` block.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_scratch(path)
        self._connection.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def setdefault(self, id: str, line: int, /) -> int:
        """Remember the line of an id that is new; the line that had it first."""
        if self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (id, line)).rowcount:
            return line
        [(first,)] = self._connection.execute("SELECT line FROM seen WHERE id = ?", (id,)).fetchall()
        return int(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)
