"""Files that are whole or not there, whatever moment a run is killed at."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client.errors import ClientError


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
            f"{path} cannot be read ({type(error).__name__}): delete its folder, or score into another"
        ) from error


def _sync(path: Path) -> None:
    """A file's content, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
