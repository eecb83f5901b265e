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
    """Of one process.

    Args:
        cpu_seconds: since it started.
        peak_bytes: the most memory that was resident (VmHWM).
        resident_bytes: now (VmRSS).
        private_bytes: of them those that are no pages of files, which others may share (RssAnon).
    """

    cpu_seconds: float
    peak_bytes: int
    resident_bytes: int
    private_bytes: int


def new_mark() -> str:
    """A value of the environment variable :data:`MARK` that only one system's processes have."""
    return uuid.uuid4().hex


def marked(mark: str) -> set[int]:
    """Processes that were started with this mark, also those that have left their parents."""
    needle = f"{MARK}={mark}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:  # it ended in between, or belongs to somebody else
                continue
    return found


def usage(processes: Collection[int]) -> dict[int, Usage]:
    """Of those that still live."""
    found = {}
    for process in processes:
        try:
            times = psutil.Process(process).cpu_times()
            memory = _memory(process)
        except (psutil.Error, OSError):  # it ended in between
            continue
        found[process] = Usage(times.user + times.system, *(memory[name] for name in ("VmHWM", "VmRSS", "RssAnon")))
    return found


def own_peak() -> int:
    """The most memory that this process has had resident, in bytes."""
    return _memory(os.getpid())["VmHWM"]


def end(mark: str, first: int, *, patience: float = 15.0) -> None:
    """End a system: its first process is asked to, what is left after a while is killed.

    Args:
        mark: of its processes.
        first: the one that was started.
        patience: seconds.
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
    """Bytes by field of the process's status; a zombie has none."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return defaultdict(int, {field[0].rstrip(":"): 1024 * int(field[1]) for field in fields})


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:  # it ended in between
        return
