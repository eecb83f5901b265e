"""Memory, threads and loader processes of the process."""

import errno
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from threadpoolctl import threadpool_limits

from training.system import device

PAGE_FAULTS = """
import resource, sys, torch
from training.system.device import keep_freed_memory
if "keep" in sys.argv and not keep_freed_memory():
    sys.exit("no glibc")
for _ in range(10):  # a few of the first ones leave splinters that the next cannot use
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*arguments: str) -> int:
    """Page faults of a new process that allocates ten tensors of 64 MiB, one after the other."""
    run = subprocess.run(
        [sys.executable, "-c", PAGE_FAULTS, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    if "no glibc" in run.stderr:
        pytest.skip("this C library has no mallopt")
    return int(run.stdout)


def test_freed_memory_is_reused_by_the_next_tensor() -> None:
    assert page_faults("keep") < page_faults() / 10


@pytest.mark.parametrize(
    ("free", "ranks", "affordable", "told"),
    [
        pytest.param(10**9, 1, 4, "", id="room for all"),
        pytest.param(64 * 2**20, 1, 2, r"for 4 loader processes, which need 110 MiB there: 2 will", id="a container's"),
        pytest.param(64 * 2**20, 4, 0, r"which need 441 MiB there: none will", id="shared by four trainers"),
        pytest.param(0, 1, 0, r"none will decode .* --processes 0", id="full"),
        pytest.param(None, 1, 0, r"none will decode", id="missing"),
    ],
)
def test_loader_processes_fit_into_the_shared_memory(
    *,
    free: int | None,
    ranks: int,
    affordable: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(device, "SHARED_MEMORY", Path("/none" if free is None else "/tmp"))
    monkeypatch.setattr(device.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    device._warn_of_shared_memory.cache_clear()
    batch = 64 * 3 * 224 * 224
    assert [device.affordable_processes(4, batch) for _ in range(2)] == [affordable] * 2
    said = capsys.readouterr().err
    assert re.search(told, said) and said.count("\n") == bool(told)
    assert device.affordable_processes(0, batch) == 0, "nothing is asked for"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that"), "was killed"),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "was killed"),
        (
            RuntimeError(
                "Caught RuntimeError in DataLoader worker process 0.\nTraceback ...\nRuntimeError: unable to allocate "
                "shared memory(shm) for file </torch_1>: No space left on device (28)"
            ),
            r"cannot hand over a batch \(RuntimeError: unable to allocate",
        ),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no more processes"),
        (OSError(errno.EMFILE, "Too many open files"), "no more processes, files"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (RuntimeError("Caught ValueError in DataLoader worker process 0.\nValueError: a bug"), None),
        (FileNotFoundError(errno.ENOENT, "gone"), None),
    ],
)
def test_a_fault_of_the_loader_processes_is_told_from_others(error: Exception, told: str | None) -> None:
    found = device.loader_fault(error)
    assert found is None if told is None else re.search(told, str(found))


def test_the_libraries_take_no_more_threads_than_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        monkeypatch.setattr(device, "usable_cores", lambda: 3)
        device.follow_cpu_quota()
        assert torch.get_num_threads() == 3
        monkeypatch.setattr(device, "usable_cores", lambda: 64)
        device.follow_cpu_quota()
        assert torch.get_num_threads() == 3, "a smaller number stays, such as that of OMP_NUM_THREADS"
    finally:
        torch.set_num_threads(before)
        threadpool_limits(before)
