"""The processes of one server, identified by its temporary folder: on their command lines, or in their environment."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_POLL = 0.1
_FOLDER = b"-Djava.io.tmpdir="
_WORKER = b"/ts/model_service_worker.py"


def server_processes(temporary: Path) -> dict[int, bool]:
    """Find the Java front end and the workers that use a temporary folder.

    Returns:
        Process id -> True for the front end, False for what it has started; that ends with the front end.
    """
    marks = os.fsencode(temporary)
    found = {}
    for process, arguments in _all_processes():
        if _FOLDER + marks in arguments:
            found[process] = True
        elif any(argument.startswith(marks + b"/.ts.sock.") for argument in arguments) or _inherits(process, marks):
            found[process] = False
    return found


def workers(temporary: Path) -> set[int]:
    """The workers that use a temporary folder. A worker's own child looks like one until it runs its program."""
    found = server_processes(temporary)
    alike = {process for process in found if any(argument.endswith(_WORKER) for argument in _read(process, "cmdline"))}
    return {process for process in alike if _parent(process) not in alike}


def front_end_folders(home: Path) -> Iterator[Path]:
    """The temporary folders of the front ends that run in a folder."""
    for process, arguments in _all_processes():
        for argument in arguments:
            if argument.startswith(_FOLDER) and _works_in(process, home):
                yield Path(os.fsdecode(argument.removeprefix(_FOLDER)))


def worker_folders(home: Path) -> dict[int, Path]:
    """Process id -> unpacked archive, of the workers whose front end runs in a folder; the archive may be gone."""
    found = {}
    for process, arguments in _all_processes():
        if any(argument.endswith(_WORKER) for argument in arguments) and _works_in(_parent(process), home):
            with contextlib.suppress(OSError):  # it has just ended
                found[process] = Path(str(Path(f"/proc/{process}/cwd").readlink()).removesuffix(" (deleted)"))
    return found


def end_server(temporary: Path, *, patience: float) -> bool:
    """Send SIGTERM to the front end, and SIGKILL to the processes that are left after ``patience`` seconds.

    Workers without a front end are killed at once: nobody can ask them.

    Returns:
        True if the server ended on SIGTERM, or had ended.
    """
    found = server_processes(temporary)
    for process, is_front_end in found.items():
        if is_front_end:
            _send(process, signal.SIGTERM)
    if _wait(temporary, patience if any(found.values()) else 0.0):
        return True
    for process in server_processes(temporary):
        _send(process, signal.SIGKILL)
    _wait(temporary, patience)
    return False


def _wait(temporary: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while server_processes(temporary):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(process, number)


def _all_processes() -> Iterator[tuple[int, list[bytes]]]:
    """Process id and command line of each process that can be read."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and any(arguments := _read(int(entry.name), "cmdline")):
            yield int(entry.name), arguments


def _read(process: int, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes().split(b"\0")
    except OSError:  # it has just ended, or belongs to another user
        return []


def _inherits(process: int, temporary: bytes) -> bool:
    """True for TorchServe's start script, and for workers on TCP ports instead of sockets."""
    return b"TMPDIR=" + temporary in _read(process, "environ")


def _parent(process: int) -> int:
    stat = b"\0".join(_read(process, "stat"))
    fields = stat.rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _works_in(process: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{process}/cwd").samefile(folder)
    except OSError:
        return False
