"""The model store: the archive of each version, the default version that a server start loads, and past switches."""

import dataclasses
import hashlib
import json
import zipfile
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from client.api.errors import ClientError
from training.system.storage import link, locked

SWITCHES = "switches.jsonl"
LOCK = ".switch.lock"
CONFIG = "model-config.yaml"


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive of the store.

    Args:
        path: path of the file.
        model: name under which it registers.
        version: exact version.
    """

    path: Path
    model: str
    version: str

    def checksum(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def workers(self) -> int:
        """Number of worker processes that its ``model-config.yaml`` asks for."""
        with zipfile.ZipFile(self.path) as content:
            config = yaml.safe_load(content.read(CONFIG)) if CONFIG in content.namelist() else None
        return int((config or {}).get("minWorkers", 1))


@dataclasses.dataclass(frozen=True)
class ModelStore:
    """A folder of archives: ``<model>-<version>.mar`` for each version, ``<model>.mar`` for the default version.

    Args:
        folder: the server's ``model_store``.
    """

    folder: Path

    def archive(self, name: str) -> Archive:
        """An archive by its file name.

        Raises:
            ClientError: there is none, or it is damaged.
        """
        path = self.folder / name
        if not path.is_file():
            there = ", ".join(sorted(file.name for file in self.folder.glob("*.mar"))) or "none"
            raise ClientError(f"{path} does not exist; archives there: {there}. `make archive` builds them")
        return identify_archive(path)

    def version(self, model: str, version: str) -> Archive:
        """The archive of one version of a model.

        Raises:
            ClientError: the store has no such archive.
        """
        for name in (f"{model}-{version}.mar", f"{model}.mar"):
            if (self.folder / name).is_file():
                archive = self.archive(name)
                if (archive.model, archive.version) == (model, version):
                    return archive
        raise ClientError(
            f"{self.folder} holds no archive of {model} {version}; "
            f"`make archive MODEL={model} VERSION={version}` builds it"
        )

    def default_version(self, model: str) -> str | None:
        """The version that a server start loads; None if the store has no ``<model>.mar``."""
        path = self.folder / f"{model}.mar"
        return identify_archive(path).version if path.exists() else None

    def lock(self) -> AbstractContextManager[None]:
        """Lock out other switches: two at once would retire each other's versions.

        Raises:
            LockedError: another switch is running.
        """
        taken = f"another switch is running in {self.folder}; wait until it has ended"
        return locked(self.folder / LOCK, taken=taken)

    def make_default(self, archive: Archive) -> None:
        """Make this archive the one that a server start loads, by an atomic hard link ``<model>.mar``."""
        target = self.folder / f"{archive.model}.mar"
        if archive.path == target:
            return
        if target.exists():  # kept under a name with its version, so that a rollback finds it
            old = identify_archive(target)
            kept = self.folder / f"{old.model}-{old.version}.mar"
            if not kept.exists():
                link(target, kept)
        link(archive.path, target)

    def record_switch(self, model: str, *, old: str, new: str) -> None:
        """Record a switch, for a later rollback."""
        entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "model": model, "from": old, "to": new}
        with (self.folder / SWITCHES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def version_before(self, model: str, version: str) -> str | None:
        """The version that the last switch to this one replaced; None if no switch is on record."""
        path = self.folder / SWITCHES
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        switches: list[dict[str, str]] = [json.loads(line) for line in lines]
        olds = [entry["from"] for entry in switches if (entry["model"], entry["to"]) == (model, version)]
        return olds[-1] if olds else None


def identify_archive(path: Path) -> Archive:
    """Read an archive's model name and version as TorchServe does.

    Raises:
        ClientError: the file is no archive, or is truncated.
    """
    entry = read_member(path, "MAR-INF/MANIFEST.json")
    try:
        return Archive(path, str(entry["model"]["modelName"]), str(entry["model"]["modelVersion"]))
    except (KeyError, TypeError) as error:
        raise ClientError(
            f"{path} has no model in its MAR-INF/MANIFEST.json; build it again with `make archive`"
        ) from error


def read_member(path: Path, name: str) -> Any:
    """Read a JSON file in an archive.

    Raises:
        ClientError: the file is no archive, is truncated, or lacks that member.
    """
    try:
        with zipfile.ZipFile(path) as content:
            return json.loads(content.read(name))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ClientError(
            f"{path}: {name} cannot be read ({type(error).__name__}); build the archive again with `make archive`"
        ) from error
