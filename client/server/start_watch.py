"""Watches a server that starts: says why a model will not become READY as soon as the cause is known.

TorchServe itself goes on for minutes: it starts a worker that dies again and again, and only logs an archive that it
cannot unpack.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path

from client.archives.model_store import Archive
from client.server.logs import LoadFailures
from client.server.processes import workers
from handlers.product_serving.resources import memory_limit

_MOST_DEATHS = 2  # a worker that died once may have been unlucky
_NOT_LOADED = re.compile(r"Failed to load model: (\S+)\n(?:\S+: )?(.*)")
_NO_PROCESS = re.compile(r"Failed start worker process[\s\S]*?(Cannot run program .*)")
_FLUSH_SECONDS = 1.0  # TorchServe logs what a worker said after its death
_GB = 1e9


class StartWatch:
    """What a starting server logs, and the deaths of its workers.

    Args:
        failures: what its workers log.
        console: the file with its console output, which begins with this start.
        temporary: its temporary folder.
    """

    def __init__(self, failures: LoadFailures, console: Path, temporary: Path) -> None:
        self._failures, self._console, self._temporary = failures, console, temporary
        self._alive: set[int] = set()
        self._deaths = 0
        self._killed_for_memory = _memory_kills()
        self._give_up_at: float | None = None

    def fault(self, waiting: Sequence[Archive]) -> str | None:
        """Why the start will not succeed, with the mend if it is known; None as long as it may.

        Args:
            waiting: archives whose workers are not READY.
        """
        for archive in waiting:
            if reasons := self._failures.reasons(archive.model, archive.version):
                return f"{archive.path.name} does not load: {reasons[-1]}"
        text = self._console.read_text(encoding="utf-8", errors="replace") if self._console.exists() else ""
        if found := _NOT_LOADED.search(text):
            return f"TorchServe does not load {found[1]}: {found[2]}"
        if found := _NO_PROCESS.search(text):
            return f"TorchServe cannot start a worker: {found[1]}"
        return self._died(waiting)

    def _died(self, waiting: Sequence[Archive]) -> str | None:
        alive = workers(self._temporary)
        self._deaths += len(self._alive - alive)
        self._alive = alive
        if self._deaths < _MOST_DEATHS:
            return None
        self._give_up_at = self._give_up_at or time.monotonic() + _FLUSH_SECONDS
        words = [said for each in waiting if (said := self._failures.last_words(each.model, each.version))]
        if _memory_kills() > self._killed_for_memory:
            return (
                f"the system killed workers (SIGKILL) for want of memory: {_memory()}. Fewer workers need less: "
                "`make archive WORKERS=1 REPLACE=1`"
            )
        if words:
            return f"its workers die: {words[-1]}"
        if time.monotonic() < self._give_up_at:
            return None
        return (
            "its workers die without a word: their code exits, or a signal such as SIGKILL ends them, most often for "
            f"want of memory ({_memory()}). Fewer workers need less: `make archive WORKERS=1 REPLACE=1`"
        )


def _memory_kills() -> int:
    """Processes that the kernel has killed for want of memory since it was started."""
    found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) if found else 0


def _memory() -> str:
    """The memory of this machine, or the limit of this container."""
    if (limit := memory_limit()) is not None:
        return f"this container or service may use {limit / _GB:.1f} GB"
    found = dict(re.findall(r"^(\w+): +(\d+) kB$", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE))
    total, free = (int(found.get(name, 0)) * 1024 / _GB for name in ("MemTotal", "MemAvailable"))
    return f"this machine has {total:.1f} GB, {free:.1f} GB are free"
