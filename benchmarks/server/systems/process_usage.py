"""Memory and processor time of a system's processes."""

import os
import signal
import time
import uuid
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import psutil

MARK = "PRODUCT_BENCHMARK"


class Usage(NamedTuple):
    """Processor time and memory of a process.

    Args:
        cpu_seconds: processor time since its start.
        peak_bytes: peak resident memory (VmHWM).
        resident_bytes: resident memory (VmRSS).
        private_bytes: resident memory without pages of files, which processes may share (RssAnon).
    """

    cpu_seconds: float
    peak_bytes: int
    resident_bytes: int
    private_bytes: int


def new_mark() -> str:
    """Make a unique value of the environment variable :data:`MARK` for the processes of one system."""
    return uuid.uuid4().hex


def marked(mark: str) -> set[int]:
    """Find the processes with this mark, including those whose parent has ended."""
    needle = f"{MARK}={mark}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:  # it has ended, or belongs to another user
                continue
    return found


def usage(processes: Collection[int]) -> dict[int, Usage]:
    """Return the usage of the processes that are still alive."""
    found = {}
    for process in processes:
        try:
            times = psutil.Process(process).cpu_times()
            memory = _memory(process)
        except (psutil.Error, OSError):  # it has ended
            continue
        found[process] = Usage(times.user + times.system, *(memory[name] for name in ("VmHWM", "VmRSS", "RssAnon")))
    return found


def own_peak() -> int:
    """Return this process's peak resident memory in bytes."""
    return _memory(os.getpid())["VmHWM"]


def end(mark: str, first: int, *, patience: float = 15.0) -> None:
    """End a system: send SIGTERM to its first process, and kill the processes that are left after ``patience``.

    Args:
        mark: mark of its processes.
        first: process id of the first process.
        patience: seconds to wait.
    """
    deadline = time.monotonic() + patience
    _send(first, signal.SIGTERM)
    while left := _living(mark):
        if time.monotonic() > deadline:
            for process in left:
                _send(process, signal.SIGKILL)
            deadline += patience
        time.sleep(0.1)


def _living(mark: str) -> set[int]:
    return {process for process in marked(mark) if process != os.getpid() and not _is_zombie(process)}


def _is_zombie(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _memory(process: int) -> dict[str, int]:
    """Read the sizes in ``/proc/PID/status``, in bytes; 0 for a field that is missing, as in a zombie."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return defaultdict(int, {field[0].rstrip(":"): 1024 * int(field[1]) for field in fields})


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:  # it has ended
        return
