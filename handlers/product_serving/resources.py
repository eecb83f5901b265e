"""The cores and the memory that a process may use."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = "sys/fs/cgroup"
_UNLIMITED = 2**60  # version 1 writes "no limit" as a number above it


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its CPU affinity, limited by the CPU quota of its control groups.

    A container or a systemd unit with a quota sees all cores of the machine. Threads beyond the quota only make the
    kernel stop all of them for the rest of each period. A quota is rounded down, to at least one core.

    Args:
        root: folder that holds ``proc`` and ``sys``.
    """
    cores = len(os.sched_getaffinity(0))
    return max(1, min([cores, *(int(quota) for quota in _quotas(root))]))


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that the control groups of this process allow it, with all other processes in them; None without a limit.

    Args:
        root: folder that holds ``proc`` and ``sys``.
    """
    limits = []
    for folder, version in _control_groups("memory", root):
        with contextlib.suppress(OSError, ValueError):  # "max" in version 2 is no number
            name = "memory.limit_in_bytes" if version == 1 else "memory.max"
            limits.append(int((folder / name).read_text(encoding="ascii")))
    return min((limit for limit in limits if limit < _UNLIMITED), default=None)


def _quotas(root: Path) -> list[float]:
    """The CPU quotas of the process's control groups, in cores."""
    found = []
    for folder, version in _control_groups("cpu", root):
        with contextlib.suppress(OSError, ValueError):
            found.append(_quota(folder, version=version))
    return found


def _control_groups(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """The folders of the process's groups and of the groups above them, each with its version of control groups."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and controller not in controllers.split(","):
            continue
        top = root / _CGROUPS / controllers
        group = top / path.strip("/")
        # In a container the path is often one of the host, which is not there: only the top is then read.
        for folder in (group, *group.parents):
            yield folder, 1 if controllers else 2
            if folder == top:
                break


def _quota(folder: Path, *, version: int) -> float:
    """One group's quota in cores.

    Raises:
        OSError, ValueError: the group has no quota.
    """
    if version == 1:
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period"))
    else:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    if int(quota) <= 0:  # -1 in version 1; "max" in version 2 is no number
        raise ValueError("no quota")
    return int(quota) / int(period)
