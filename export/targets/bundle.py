"""The content of a verified archive in a folder, with files of a target beside it, checked before it takes its place.

The archive's files stay as they are. ``SHA256SUMS`` is written again, so that it lists the target's files too.
"""

import contextlib
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from client.api.errors import ClientError
from client.archives.model_store import identify_archive
from handlers.product_serving.archive import LOADING, SUMS, ArchiveError, format_sums, read_manifest

WORKERS = "model-config.yaml"
LOAD_CHECK = Path(__file__).with_name("load_check.py")
# The code that answers without TorchServe, as a path in the archive.
STANDALONE = "product_serving/standalone/predictor.py"
# What a process needs beside Python; an engine of the second line is used where it is installed.
NEEDED, ENGINES = ("onnxruntime", "pillow", "tokenizers"), ("openvino", "torch")


class TargetError(ValueError):
    """The target cannot be built; the message says why and what to do."""


class Unpacked(NamedTuple):
    """An unpacked archive.

    Args:
        folder: its files.
        model: name of the model.
        version: of the archive.
        workers: content of ``model-config.yaml``.
    """

    folder: Path
    model: str
    version: str
    workers: Mapping[str, Any]


@contextlib.contextmanager
def unpacked(archive: Path, *, beside: Path) -> Iterator[Unpacked]:
    """Unpack an archive into a temporary folder and compare its files with their checksums.

    Args:
        archive: path of the ``.mar``.
        beside: the temporary folder lies in this folder's parent, so that it can be renamed into its place.

    Raises:
        TargetError: the archive is damaged, changed, of an earlier version of this package, or not signed with the
            trusted key where one is configured.
    """
    try:
        entry = identify_archive(archive)  # whom it is from is asked before anything of it runs
    except ClientError as error:
        raise TargetError(str(error)) from error
    beside.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside.absolute().parent, prefix=".export-") as temporary:
        folder = Path(temporary) / "content"
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
            read_manifest(folder)
            workers = yaml.safe_load((folder / WORKERS).read_text(encoding="utf-8"))
            found = Unpacked(folder, entry.model, entry.version, dict(workers))
        except ArchiveError as error:
            raise TargetError(f"{archive}: {error}") from error
        except (zipfile.BadZipFile, zlib.error, TypeError, ValueError, yaml.YAMLError) as error:
            raise TargetError(f"{archive} is no whole archive ({error}); build it again with `make archive`") from error
        if not (folder / STANDALONE).is_file():
            raise TargetError(
                f"{archive} was built by an earlier version, whose code answers in TorchServe only; build it again "
                "with `make archive`"
            )
        yield found


def requirements() -> str:
    """Return the content of ``requirements.txt``: what the code imports, in the versions of this environment.

    NumPy has no version, since the host decides it: Triton's Python backend may be compiled against NumPy 1.
    """
    needed = "".join(f"{_pin(name)}\n" for name in NEEDED)
    engines = "".join(f"# {_pin(name)}\n" for name in ENGINES)
    return f"numpy\n{needed}# Further engines, each used where it is installed and fits the machine:\n{engines}"


def seal(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    sums = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    (folder / SUMS).write_text(format_sums(sums), encoding="utf-8")


def check(folder: Path) -> None:
    """Seal the folder and load it in an isolated Python, which answers the golden products.

    Raises:
        TargetError: this fails; the message ends with Python's output.
    """
    seal(folder)
    command = [sys.executable, "-I", "-B", str(LOAD_CHECK), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise TargetError(f"the model does not answer as it was verified; nothing was written:\n{result.stderr}")
    (folder / LOADING).unlink(missing_ok=True)


def put(folder: Path, place: Path) -> None:
    """Move a finished folder to its place; what is there is deleted once the new folder stands in its stead."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="old-") as old:
        if place.exists():
            place.rename(Path(old) / "content")
        folder.rename(place)


def copy_module(name: str, path: Path) -> None:
    """Copy a module of this package that runs in the target."""
    shutil.copyfile(Path(__file__).with_name(name), path)


def _pin(name: str) -> str:
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
