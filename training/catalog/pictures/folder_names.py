"""The names of the files below a folder, looked up without asking the disk for each; links are not followed."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from training.catalog.pictures.names import MAX_LISTED, Listed, has_picture_suffix
from training.catalog.pictures.zip_names import other_spellings

# Names kept in memory; beyond them the disk is asked. A hundred bytes each.
MAX_KEPT = 2_000_000


class FolderNames:
    """Which files lie below a folder. What is written there later may be missed.

    Args:
        root: the folder, with links resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, frozenset[str]] = {}
        self._kept = 0

    def has(self, name: str) -> bool:
        """True if a file has exactly this relative path, and no folder of the path is a link that leads out."""
        folder, _, base = name.rpartition("/")
        names = self._folders.get(folder)
        if names is None:
            if name.startswith("/") or "\0" in name or ".." in PurePosixPath(name).parts:
                return False
            names = self._read(folder)
        return base in names

    def listed(self) -> list[Listed] | None:
        """All files whose names end as those of pictures do, hidden ones left out; None if there are too many."""
        files = []
        for path in self._walk():
            if has_picture_suffix(path):
                files.append(Listed(path, other_spellings(path)))
                if len(files) > MAX_LISTED:
                    return None
        return files

    def _read(self, folder: str) -> frozenset[str]:
        names = self._names_in(self._root / folder)
        self._kept += len(names) + 1
        if self._kept > MAX_KEPT:
            self._folders.clear()
            self._kept = len(names) + 1
        self._folders[folder] = names
        return names

    def _names_in(self, path: Path) -> frozenset[str]:
        try:
            if not path.resolve().is_relative_to(self._root):
                return frozenset()
            with os.scandir(path) as entries:
                return frozenset(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
        except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
            return frozenset()

    def _walk(self) -> Iterator[str]:
        """Relative paths, folder by folder; at most some ``MAX_KEPT`` files are looked at."""
        seen = 0
        for folder, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            below = Path(folder).relative_to(self._root).as_posix()
            for name in sorted(files):
                seen += 1
                if not _is_hidden(name):
                    yield name if below == "." else f"{below}/{name}"
            if seen > MAX_KEPT:
                return


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
