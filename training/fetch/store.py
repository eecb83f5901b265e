"""The pictures that came: a file for each content, and a journal that an interrupted run continues by."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from training.fetch.download import Downloaded
from training.system.storage import atomic_path, changed_file, make_folder

PICTURES, DETAILS = "pictures", "fetch"
JOURNAL = "fetched.jsonl"


class Kept(NamedTuple):
    """A picture in the folder.

    Attributes:
        name: its path relative to the folder, made from the content's sha256.
        sha256: in hexadecimal.
        size: in bytes.
    """

    name: str
    sha256: str
    size: int


class PictureStore:
    """Keeps pictures below a folder; safe in threads. Equal contents share one file.

    Raises:
        StorageError: the folder cannot be written to, or the disk is full; also while pictures are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._journal = folder / DETAILS / JOURNAL
        make_folder(self._journal.parent)
        self._kept = {address: kept for address, kept in self._read() if self._is_whole(kept)}
        self.size = sum(kept.size for kept in set(self._kept.values()))

    def __contains__(self, address: str) -> bool:
        return address in self._kept

    def name(self, address: str) -> str | None:
        """The file of an address; None if it was not fetched."""
        kept = self._kept.get(address)
        return None if kept is None else kept.name

    def keep(self, address: str, picture: Downloaded) -> Kept:
        """Write a picture, then its line in the journal."""
        digest = hashlib.sha256(picture.content).hexdigest()
        kept = Kept(f"{PICTURES}/{digest[:2]}/{digest}{picture.suffix}", digest, len(picture.content))
        path = self.folder / kept.name
        with self._lock:
            if not self._is_whole(kept):
                with atomic_path(path, needs=kept.size) as partial:
                    partial.write_bytes(picture.content)
                self.size += kept.size
            with changed_file(self._journal), self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"address": address, **kept._asdict()}) + "\n")
            self._kept[address] = kept
        return kept

    def _is_whole(self, kept: Kept) -> bool:
        path = self.folder / kept.name
        return path.is_file() and path.stat().st_size == kept.size

    def _read(self) -> Iterator[tuple[str, Kept]]:
        """What the journal holds; a line that was cut by a kill is left out."""
        if not self._journal.exists():
            return
        with changed_file(self._journal):
            lines = self._journal.read_text(encoding="utf-8", errors="replace").split("\n")
        for line in lines:
            try:
                entry = json.loads(line)
                kept = Kept(str(entry["name"]), str(entry["sha256"]), int(entry["size"]))
            except (ValueError, KeyError, TypeError):
                continue
            if kept.name.startswith(f"{PICTURES}/{kept.sha256[:2]}/{kept.sha256}.") and kept.sha256.isalnum():
                yield str(entry["address"]), kept
