"""Files that are whole or not there, whatever moment a run is killed at."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client.errors import ClientError

_PARTIAL = re.compile(r"\.(.+)\.partial")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; on success it is synced to disk and takes the name, on an error it goes.

    Raises:
        ClientError: the folder cannot be written to, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        try:
            yield partial
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ClientError(
            f"{path} cannot be written ({error.strerror or error}); mend that, then give the same command again: "
            "it goes on where it stopped"
        ) from error


def final_name(name: str) -> str:
    """The name that a temporary one of :func:`atomic_path` stands for; any other one as it is."""
    partial = _PARTIAL.fullmatch(name)
    return partial[1] if partial else name


def make_folder(path: Path) -> None:
    """Make a folder and those above it; one that is there stays.

    Raises:
        ClientError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClientError(
            f"{path} cannot be made or read as a folder ({error.strerror or error}); choose another folder"
        ) from error


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """A JSON file's document; None where there is no file.

    Raises:
        ClientError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ClientError(
            f"{path} cannot be read ({type(error).__name__}); choose another folder, or delete that file"
        ) from error


def _sync(path: Path) -> None:
    """A file's content, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
