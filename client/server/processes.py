"""The processes of one server, told by its temporary folder, which no other process has on its command line."""

import contextlib
import os
import signal
import time
from pathlib import Path

_POLL = 0.1


def server_processes(temporary: Path) -> dict[int, bool]:
    """Java and the workers that work in a temporary folder.

    Returns:
        Process id -> whether it is the front end; its workers end with it.
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
    """End a server: the front end is asked to, what is left after a while is killed.

    Returns:
        Whether it ended by itself.
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
    with contextlib.suppress(ProcessLookupError):  # it ended in between
        os.kill(process, number)


def _command_line(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended in between, or belongs to somebody else
        return []
