"""The model store: the archive of each version, and what a server start loads."""

import contextlib
import dataclasses
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import yaml

from client.api.errors import ClientError
from client.archives.switches import SwitchRecord
from client.archives.trust import require_trusted
from handlers.product_serving.archive import SUMS
from training.system.storage import link, locked, prepared_link

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

    def unpacked_size(self) -> int:
        """Bytes of its files; TorchServe unpacks it when it is registered."""
        with zipfile.ZipFile(self.path) as content:
            return sum(member.file_size for member in content.infolist())

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

    @property
    def switches(self) -> SwitchRecord:
        """The switches so far."""
        return SwitchRecord(self.folder)

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

    def loaded(self, names: Sequence[str]) -> list[Archive]:
        """The archives that a server start loads, in that order; the first of a model is its default version.

        Args:
            names: entries of ``load_models``; "all" is every archive of the store, ``<model>.mar`` first.

        Raises:
            ClientError: an entry names no archive of the store, or another model than its archive.
        """
        if [name.lower() for name in names] == ["all"]:
            return self._all()
        return [self._listed(name) for name in names]

    def _all(self) -> list[Archive]:
        found = [identify_archive(path) for path in sorted(self.folder.glob("*.mar"), key=lambda path: path.name)]
        if not found:
            raise ClientError(f"{self.folder} holds no archive; `make archive` builds them")
        found.sort(key=lambda archive: (archive.model, archive.path.name != f"{archive.model}.mar"))
        versions: dict[tuple[str, str], Archive] = {}
        for archive in found:  # <model>.mar is one of its versions
            versions.setdefault((archive.model, archive.version), archive)
        return list(versions.values())

    def _listed(self, entry: str) -> Archive:
        alias, _, name = entry.rpartition("=")
        if Path(name).name != name:
            raise ClientError(f"load_models: {name} is no file name; name an archive that lies in {self.folder}")
        archive = self.archive(name)
        if alias not in ("", archive.model):
            raise ClientError(f"load_models: {name} holds the model {archive.model}; write {name} without {alias}=")
        return archive

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
        """The version of ``<model>.mar``; None if there is none, or if it cannot be read."""
        with contextlib.suppress(ClientError):
            return _identity(self.folder / f"{model}.mar").version
        return None

    def lock(self) -> AbstractContextManager[None]:
        """Lock out other switches: two at once would retire each other's versions.

        Raises:
            LockedError: another switch is running.
        """
        taken = f"another switch is running in {self.folder}; wait until it has ended"
        return locked(self.folder / LOCK, taken=taken)

    @contextmanager
    def next_default(self, archive: Archive) -> Iterator[Callable[[], None]]:
        """Prepare an archive as the one that a server start loads, under the name ``<model>.mar``.

        The archive that has this name keeps one with its version, so that a rollback finds it.

        Yields:
            A function that changes the name in one step; without a call nothing changes.

        Raises:
            StorageError: the store cannot be written to, or its disk is full.
        """
        target = self.folder / f"{archive.model}.mar"
        if archive.path == target:
            yield lambda: None
            return
        if before := self.default_version(archive.model):
            own = self.folder / f"{archive.model}-{before}.mar"
            if not own.exists():
                link(target, own)
        with prepared_link(archive.path, target, partial=self.folder / f".{target.name}.next") as rename:
            yield rename

    def loaded_at_start(self, names: Iterable[str]) -> dict[str, str]:
        """The default version of each model after a start of the server: of the first archive that is listed.

        Args:
            names: as for :meth:`loaded`; what a start refuses is left out.
        """
        found: dict[str, str] = {}
        for name in names:
            with contextlib.suppress(ClientError):
                for archive in self.loaded([name]):
                    found.setdefault(archive.model, archive.version)
        return found


def missing_files(unpacked: Path) -> list[str]:
    """Files that an unpacked archive should have by its own list, and has not."""
    try:
        lines = (unpacked / SUMS).read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return [SUMS]
    names = [line.partition("  ")[2] for line in lines]
    return [name for name in names if not (unpacked / name).is_file()]


def unpack_missing(archive: Path, folder: Path) -> int:
    """Unpack those files of an archive that a folder lacks; existing ones, which a worker may read, stay.

    Returns:
        The number of files.

    Raises:
        ClientError: the archive is damaged, or the folder cannot be written to.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            names = [name for name in content.namelist() if not (folder / name).exists()]
            content.extractall(folder, names)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ClientError(f"{archive.name} cannot be unpacked into {folder}: {error}") from error
    return len(names)


def identify_archive(path: Path) -> Archive:
    """Read an archive's model name and version as TorchServe does; whoever uses an archive comes by here.

    Raises:
        ClientError: the file is no archive, or is truncated.
        TrustError: it is not signed with the trusted key, where one is configured.
    """
    found = _identity(path)
    require_trusted(path, model=found.model, version=found.version)
    return found


def _identity(path: Path) -> Archive:
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
