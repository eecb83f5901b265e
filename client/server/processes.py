"""The processes of one server, identified by its temporary folder on their command lines."""

import contextlib
import os
import signal
import time
from pathlib import Path

_POLL = 0.1


def server_processes(temporary: Path) -> dict[int, bool]:
    """Find the Java front end and the workers that use a temporary folder.

    Returns:
        Process id -> True for the front end, False for a worker; workers end with the front end.
    """
    marks = os.fsencode(temporary)
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (arguments := _command_line(entry)):
            if b"-Djava.io.tmpdir=" + marks in arguments:
                found[int(entry.name)] = True
            elif any(argument.startswith(marks + b"/.ts.sock.") for argument in arguments):
                found[int(entry.name)] = False
    return found


def end_server(temporary: Path, *, patience: float) -> bool:
    """Send SIGTERM to the front end, and SIGKILL to the processes that are left after ``patience`` seconds.

    Returns:
        True if the server ended on SIGTERM.
    """
    for process, is_front_end in server_processes(temporary).items():
        if is_front_end:
            _send(process, signal.SIGTERM)
    if _wait(temporary, patience):
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


def _command_line(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has just ended, or belongs to another user
        return []
