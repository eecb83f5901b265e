"""Files that are whole or not there, locks, and what to do where a disk is full or a folder read-only.

It loads nothing heavy: clients write their files by it too.
"""

import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm import tqdm

from training.system.rank import is_main_process

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
MIB = 2**20
_PARTIAL = re.compile(r"\.(.+)\.partial")


class StorageError(RuntimeError):
    """The disk is full, or a folder cannot be written to; the message says what to do."""


class LockedError(StorageError):
    """Another process is at work."""


@contextmanager
def atomic_path(path: Path, *, needs: int = 0) -> Iterator[Path]:
    """A temporary name beside ``path``; on success it is synced to disk and takes the name, on an error it goes.

    Who may read the file is what the user's mask says, also where a library writes it for the owner's eyes alone.

    Of several processes that train together only the main one writes; what the others write goes nowhere.

    Args:
        path: the file.
        needs: bytes it will have, at least; a disk without that room is refused before anything is written.

    Raises:
        StorageError: no room, or no right to write there.
    """
    if not is_main_process():
        with tempfile.TemporaryDirectory() as nowhere:
            yield Path(nowhere) / path.name
        return
    partial = path.with_name(f".{path.name}.partial")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            require_room(path, needs)
            partial.unlink(missing_ok=True)
            partial.touch()
            mode = partial.stat().st_mode
            yield partial
            partial.chmod(mode)
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def final_name(name: str) -> str:
    """The name that a temporary one of :func:`atomic_path` stands for; any other name as it is."""
    partial = _PARTIAL.fullmatch(name)
    return partial[1] if partial else name


@contextmanager
def locked(path: Path, *, taken: str, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock file while a block runs; a process that is killed leaves no lock behind.

    Of several processes that train together only the main one takes it.

    Args:
        path: the lock file; its folder is made if it is not there.
        taken: the sentence of the error where another process holds the lock.
        wait: seconds for that process to end.

    Raises:
        LockedError: another process holds it.
        StorageError: the folder cannot be made or written to.
    """
    if not is_main_process():
        yield
        return
    lock = FileLock(path)
    make_folder(path.parent)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise LockedError(taken) from None
    except OSError as error:
        raise StorageError(f"{path.parent} cannot be written to ({_reason(error)}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def make_folder(path: Path) -> None:
    """Make a folder and those above it; one that is there stays.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be made or read as a folder ({_reason(error)}); choose another folder"
        ) from error


def link(source: Path, target: Path) -> None:
    """Let ``target`` be a second name of a file, at once: whoever opens it finds the old content or the new one."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.link(source, partial)
    partial.replace(target)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file's document; None where there is no file.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be read ({type(error).__name__}); choose another folder, or delete that file"
        ) from error


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write an .npz atomically."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def require_room(path: Path, needs: int) -> None:
    """Refuse to begin what cannot end.

    Args:
        path: the file to be written; its folder is there.
        needs: bytes.

    Raises:
        StorageError: its disk has less.
    """
    if needs > shutil.disk_usage(path.parent).free:
        raise StorageError(_full(path, needs))


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the libraries raise on a full or read-only disk into :class:`StorageError`.

    Args:
        path: what is being written, for the message.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if _is_caused_by(error, FULL):
            raise StorageError(_full(path)) from error
        if _is_caused_by(error, FORBIDDEN):
            raise StorageError(
                f"{path} cannot be written: {_innermost(error)}; make the folder writable, or choose another --out"
            ) from error
        raise


def warn(message: str) -> None:
    """Tell the user, on a line of its own above whatever bar is being drawn."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


def _sync(path: Path) -> None:
    """A file's content, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _is_caused_by(error: BaseException, numbers: tuple[int, ...]) -> bool:
    """Whether the system said one of these; libraries in Rust quote its number, PyTorch wraps Python's exception."""
    return any(
        (isinstance(each, OSError) and each.errno in numbers)
        or any(f"(os error {number})" in str(each) for number in numbers)
        for each in _chain(error)
    )


def _innermost(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _full(path: Path, needs: int = 0) -> str:
    takes = f"takes {needs / MIB:,.1f} MiB" if needs else "did not fit"
    free = shutil.disk_usage(path.parent).free / MIB
    return (
        f"the disk of {path.parent} is full: {path.name} {takes}, {free:,.1f} MiB are free; "
        "make room, then run the same command again: it goes on where it stopped"
    )
