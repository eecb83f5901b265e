"""Atomic files, lock files, and errors for full disks and read-only folders.

It imports no heavy library, because the client uses it too.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from training.system.progress import note
from training.system.rank import is_main_process

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# What a user can do about an error of the system.
_MENDS = (
    (FULL, "make room on that disk, and look for free inodes too (df -i)"),
    (FORBIDDEN, f"let this user (id {os.getuid()}) read and write there, or choose another folder"),
    (
        (errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
        "a file lies where a folder is needed, or the other way round; move it",
    ),
    ((errno.ENOENT,), "the folder or file is not there; make it, or choose another one"),
    ((errno.EMFILE, errno.ENFILE), "too many files are open; raise the limit (ulimit -n)"),
    ((errno.ENOMEM, errno.EAGAIN), "memory or processes are used up; end something, or raise the limit"),
)
MIB = 2**20
CSV_ENCODING = "utf-8-sig"
"""Of CSVs that people open: without the mark at its start, a spreadsheet takes UTF-8 for another encoding."""
_PARTIAL = re.compile(r"\.(.+)\.partial")


class StorageError(RuntimeError):
    """The disk is full, or a file cannot be read or written; the message says what to do."""


class LockedError(StorageError):
    """Another process holds the lock."""


@contextmanager
def atomic_path(path: Path, *, needs: int = 0) -> Iterator[Path]:
    """Write a file under a temporary name beside ``path``.

    On success the file is synced to disk and renamed to ``path``; on an error it is deleted. Its permissions follow the
    user's umask, even if a library writes it for the owner only. If several processes train together, only the main one
    writes ``path``; the files of the others are thrown away.

    Args:
        needs: its least size in bytes; a disk with less room is refused before anything is written.

    Raises:
        StorageError: no room, or no permission.
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
    """The final name of a temporary file of :func:`atomic_path`; other names are returned unchanged."""
    partial = _PARTIAL.fullmatch(name)
    return partial[1] if partial else name


@contextmanager
def locked(path: Path, *, taken: str, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock file during the block. A killed process leaves no lock behind.

    If several processes train together, only the main one takes the lock.

    Args:
        path: the lock file; a missing folder is created.
        taken: message of the error if another process holds the lock.
        wait: seconds to wait for that process.

    Raises:
        LockedError: another process holds the lock.
        StorageError: the folder cannot be created or written to.
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
    """Create a folder and its parents; an existing one stays.

    Raises:
        StorageError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be made or read as a folder ({_reason(error)}); choose another folder"
        ) from error


def link(source: Path, target: Path) -> None:
    """Make ``target`` another name or a copy of ``source``, atomically: a reader finds the old content or the new.

    Raises:
        StorageError: the folder cannot be written to, or the disk is full.
    """
    with prepared_link(source, target) as rename:
        rename()


@contextmanager
def prepared_link(source: Path, target: Path, *, partial: Path | None = None) -> Iterator[Callable[[], None]]:
    """Prepare :func:`link` under a temporary name: what can fail does so before anything has changed.

    Hard links can be forbidden: by the file system, between two of them, or for files of another owner. A copy does
    the same and takes room.

    Args:
        source: the file.
        target: its other name.
        partial: temporary name in the folder of ``target``; no other process may use it meanwhile.

    Yields:
        A function that gives it the name ``target``; without a call nothing remains.

    Raises:
        StorageError: the folder cannot be written to, or the disk is full.
    """
    partial = partial or target.with_name(f".{target.name}.partial")
    with changed_file(target):
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)
        except OSError:
            require_room(target, source.stat().st_size)
            shutil.copy(source, partial)
            _sync(partial)

    def rename() -> None:
        with changed_file(target):
            partial.replace(target)
        with contextlib.suppress(OSError):  # not every file system can; nothing may fail after the change
            _sync(target.parent)

    try:
        yield rename
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)  # it stays if both names were the same file already


@contextmanager
def changed_file(path: Path) -> Iterator[None]:
    """Turn every error of the system in a short piece of work on a file into :class:`StorageError`.

    Args:
        path: the file, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageError(_full(path)) from error
        raise StorageError(
            f"{path} cannot be read or written ({_reason(error)}); make it and its folder readable and writable"
        ) from error


def write_text(path: Path, text: str, *, encoding: str = "utf-8") -> None:
    """Write a text file atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding=encoding)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file; None if there is no file.

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
    """Write an .npz file atomically."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def require_room(path: Path, needs: int) -> None:
    """Check that a file will fit on its disk.

    Args:
        path: the file to be written; its folder exists.
        needs: bytes.

    Raises:
        StorageError: the disk has less room.
    """
    if needs > shutil.disk_usage(path.parent).free:
        raise StorageError(_full(path, needs))


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the errors of any library on a full or read-only disk into :class:`StorageError`.

    Args:
        path: the file that is written, for the message.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if _is_caused_by(error, FULL):
            raise StorageError(_full(path)) from error
        if _is_caused_by(error, FORBIDDEN):
            *_, innermost = _chain(error)
            raise StorageError(
                f"{path} cannot be written: {innermost}; make the folder writable, or choose another --out"
            ) from error
        raise


def describe(error: OSError) -> str:
    """One sentence on an error of the system: the path, the reason, and the mend where one is known."""
    path = error.filename if error.filename is not None else "a file"
    mend = next((mend for numbers, mend in _MENDS if error.errno in numbers), "look at that path, then try again")
    return f"{os.fsdecode(path) if isinstance(path, bytes) else path}: {_reason(error)}; {mend}"


def warn(message: str) -> None:
    """Print a warning to stderr, on its own line above a progress bar."""
    note(f"warning: {message}", file=sys.stderr)


def _sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _is_caused_by(error: BaseException, numbers: tuple[int, ...]) -> bool:
    """True if an error number of the system caused this error.

    Libraries in Rust quote the number in their text; PyTorch wraps Python's exception.
    """
    return any(
        (isinstance(each, OSError) and each.errno in numbers)
        or any(f"(os error {number})" in str(each) for number in numbers)
        for each in _chain(error)
    )


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
