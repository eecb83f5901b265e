"""The temporary folder of a running server: unpacked archives, the workers' sockets and temporary files.

It lies beside the configuration, in ``.torchserve``, where nothing ages it away as in ``/tmp``. If the server cannot
live there, because a socket's path has 107 bytes at most, or for want of room, it lies in another folder.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from client.api.errors import ClientError
from client.server.processes import server_processes

STATE_FOLDER = ".torchserve"
_LONGEST_SOCKET = 107 - len("/.ts.sock.65535")  # bytes of the folder's path
_FEWEST_FILES = 500
_LOGS = 5_000_000  # bytes
_MB = 1e6


def make_run_folder(home: Path, *, needs: int) -> Path:
    """Make an empty folder for a server.

    Args:
        home: folder of the server's configuration.
        needs: bytes that the server will write.

    Raises:
        ClientError: no folder will do; the message gives the reason for each.
    """
    refused, second_best = [], None
    for base, prefix in _places(home):
        try:
            base.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        except OSError as error:
            refused.append(f"{base}: {error.strerror}")
            continue
        if reason := _unusable(path, needs):
            refused.append(f"{base}: {reason}")
        elif not os.statvfs(path).f_flag & os.ST_NOEXEC:
            if second_best is not None:
                second_best.rmdir()
            return path
        elif second_best is None:
            second_best = path  # TorchServe's library cannot be loaded from there: workers will listen on TCP ports
            continue
        path.rmdir()
    if second_best is None:
        raise ClientError(
            f"the server finds no folder for its temporary files ({'; '.join(refused)}); make room, or name a short "
            "folder that can be written to: TMPDIR=/a/folder python -m client serve"
        )
    return second_best


def require_room_for_logs(home: Path) -> None:
    """Check that logs, tokens and state fit on the disk of a configuration; TorchServe ends without a word if not.

    Raises:
        ClientError: it is full.
    """
    if reason := _without_room(home, _LOGS):
        raise ClientError(f"the disk of {home} is full, where logs and tokens are written: {reason}; make room")


def remove_left_folders(home: Path) -> None:
    """Remove the folders that servers of this configuration left when they were killed."""
    for base, prefix in _places(home):
        with contextlib.suppress(OSError):  # a folder that is not there, or not ours
            for path in base.glob(f"{prefix}*"):
                if not server_processes(path):
                    shutil.rmtree(path, ignore_errors=True)


def is_run_folder(path: Path, home: Path) -> bool:
    """True for a folder that :func:`make_run_folder` made for this configuration."""
    return any(path.parent == base and path.name.startswith(prefix) for base, prefix in _places(home))


def _places(home: Path) -> Iterator[tuple[Path, str]]:
    """Folders that may hold it, the best first, each with the beginning of its name there."""
    yield home / STATE_FOLDER, "run-"
    prefix = f"torchserve-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}-"
    named = (os.environ.get("TMPDIR"), "/var/tmp", os.environ.get("XDG_RUNTIME_DIR"), "/tmp")
    for name in dict.fromkeys(named):
        if name and Path(name).is_absolute():
            yield Path(name), prefix


def _unusable(path: Path, needs: int) -> str | None:
    """Why a server cannot live in a folder."""
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        return "its path is too long for a socket's, which has 107 bytes at most"
    probe = path / ".probe"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(probe))
        probe.unlink()
    except OSError as error:
        return f"it takes no socket ({error.strerror})"
    return _without_room(path, needs)


def _without_room(path: Path, needs: int) -> str | None:
    room = os.statvfs(path)
    if (free := room.f_bavail * room.f_frsize) < needs:
        return f"{needs / _MB:,.0f} MB are needed, {free / _MB:,.0f} MB are free"
    if room.f_files > 0 and room.f_favail < _FEWEST_FILES:
        return f"its file system has only {room.f_favail} inodes left; delete some of its many small files"
    return None
