"""Memory and processor time of a system's processes."""

import contextlib
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
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            if entry.name.isdigit() and needle in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def usage(processes: Collection[int]) -> dict[int, Usage]:
    """Return the usage of the processes that are still alive."""
    found = {}
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):  # it has ended
            times, memory = psutil.Process(process).cpu_times(), _memory(process)
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
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(first, signal.SIGTERM)
    while left := marked(mark):  # a zombie has no environment, and so no mark
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            deadline += patience
        time.sleep(0.1)


def _memory(process: int) -> dict[str, int]:
    """Read the sizes in ``/proc/PID/status``, in bytes; 0 for a field that is missing, as in a zombie."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return defaultdict(int, {field[0].rstrip(":"): 1024 * int(field[1]) for field in fields})
