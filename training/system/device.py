"""The device and the precision of training: chosen once at the start, with a reason for the log."""

import ctypes
import dataclasses
import errno
import functools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from handlers.product_serving.resources import usable_cores
from training.system.storage import MIB, warn

PRECISIONS = ("auto", "fp32", "bf16")
SHARED_MEMORY = Path("/dev/shm")  # where PyTorch hands over what a loader process has read
BATCHES_OF_A_PROCESS = 3  # two wait, one is being written
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from glibc's malloc.h


@dataclasses.dataclass(frozen=True)
class Device:
    """A torch device with its precision.

    Args:
        name: ``cpu`` or ``cuda``.
        bf16: autocast the forward pass to bfloat16.
        reason: why this precision was chosen, for the log.
    """

    name: str
    bf16: bool
    reason: str

    def take(self, module: nn.Module) -> nn.Module:
        """Move a module to the device, in channels-last format: convolutions are up to twice as fast on a CPU."""
        return module.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def autocast(self) -> torch.autocast:
        """The autocast context of the forward pass."""
        return torch.autocast(self.name, dtype=torch.bfloat16, enabled=self.bf16)


class BusyClock:
    """Measures the share of an epoch in which the GPU is busy.

    CUDA events mark the start and the end of each step on the GPU. The time between steps, when the GPU waits for
    decoded products, counts as idle. Pauses between the kernels of one step count as busy, so the share is an upper
    bound. On a CPU nothing is measured. Not yet run on a GPU.
    """

    def __init__(self, device: Device) -> None:
        self._cuda = device.name == "cuda"
        self._started = time.monotonic()
        self._steps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        """Measure one step, which runs in the ``with`` block."""
        if not self._cuda:
            yield
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield
        end.record()
        self._steps.append((begin, end))

    def share(self) -> float | None:
        """The busy share since the clock was created, 0..1; None if no step ran on a GPU."""
        if not self._steps:
            return None
        torch.cuda.synchronize()
        milliseconds: float = sum(begin.elapsed_time(end) for begin, end in self._steps)
        return min(1.0, milliseconds / 1000 / (time.monotonic() - self._started))


def choose_device(precision: str = "auto") -> Device:
    """Choose CUDA if there is a GPU, and bfloat16 if the hardware multiplies matrices in it.

    On a CPU that needs AMX or AVX512-BF16; other CPUs emulate bfloat16 and are slower with it. A training step of
    ResNet-18 at 224 pixels is 3.4 times faster with AMX, and 2.2 times with AVX512-BF16 (two cores of an AMD EPYC,
    November 2026).

    Raises:
        ValueError: ``precision`` is none of ``PRECISIONS``.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}")
    name = "cuda" if torch.cuda.is_available() else "cpu"
    supported, because = _bf16_support(name)
    if precision == "auto":
        return Device(name, supported, because)
    return Device(name, precision == "bf16", f"--precision {precision}")


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next step instead of returning it to the system.

    By default glibc maps memory anew for each large tensor, and the system clears its pages one by one. That took up to
    42 % of a training step of EfficientNet-Lite0 on a CPU (batch 64, milliseconds before and after: 489 and 285 at 64
    pixels, 581 and 507 at 96, 1174 and 714 at 128; two cores of an Intel Xeon at 2.8 GHz, fp32, November 2026). With
    this setting the process never shrinks.

    Returns:
        True if the setting was made; False if the C library has no ``mallopt`` or refuses the values.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def follow_cpu_quota() -> None:
    """Give PyTorch and the numeric libraries no more threads than the cores that this process may use.

    They count the machine's cores, also in a container with a quota for a few. A smaller number that is already set,
    for example by ``OMP_NUM_THREADS``, stays.
    """
    threads = min(torch.get_num_threads(), usable_cores())
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def loader_processes() -> int:
    """Default number of extra processes that decode pictures: up to 8 with a GPU, none on a CPU.

    One process decodes too slowly for a GPU. The number is a guess that has not been measured yet.
    """
    if not torch.cuda.is_available():
        return 0
    return min(8, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def affordable_processes(wanted: int, batch_bytes: int) -> int:
    """Number of loader processes for whose batches the shared memory has room; a warning says if that is fewer.

    A process that finds no room there dies by a bus error. Containers often have 64 MB, or none.

    Args:
        wanted: number of processes.
        batch_bytes: size of a batch.
    """
    if not wanted:
        return 0
    try:
        room = shutil.disk_usage(SHARED_MEMORY).free if os.access(SHARED_MEMORY, os.W_OK) else 0
    except OSError:
        room = 0
    needs = BATCHES_OF_A_PROCESS * batch_bytes * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    affordable = min(wanted, room // needs)
    if affordable < wanted:
        _warn_of_shared_memory(wanted, affordable, needs)
    return affordable


@functools.cache  # once for each sentence, not for each loader
def _warn_of_shared_memory(wanted: int, affordable: int, needs: int) -> None:
    warn(
        f"{SHARED_MEMORY} has no room for {wanted} loader processes, which need {wanted * needs / MIB:,.0f} MiB there: "
        f"{affordable or 'none'} will decode pictures; enlarge it (docker run --shm-size 1g), or give --processes "
        f"{affordable}"
    )


def loader_fault(error: Exception) -> str | None:
    """What went wrong with the loader processes, in a clause; None for any other error.

    Shared memory may fill up under way, the system may kill a process, or give no more of them.
    """
    last = (str(error).strip().splitlines() or [""])[-1]
    if isinstance(error, OSError):
        limits = (errno.EAGAIN, errno.EMFILE, errno.ENOMEM, errno.ENOSYS)
        return f"the system gives no more processes, files or memory ({last})" if error.errno in limits else None
    if "DataLoader worker (pid" in str(error):
        return "a loader process was killed, perhaps for want of memory or of room in /dev/shm"
    handing_over = "shared memory" in last or "ancdata" in last
    return f"a loader process cannot hand over a batch ({last})" if handing_over else None


def _bf16_support(name: str) -> tuple[bool, str]:
    if name == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return supported, f"{torch.cuda.get_device_name()} {'has' if supported else 'lacks'} bfloat16"
    if torch.cpu._is_amx_tile_supported():
        return True, "this CPU has AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return True, "this CPU has AVX512-BF16"
    return False, "this CPU has no bfloat16 units"
