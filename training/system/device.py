"""Where training runs and in which precision, chosen once at the start, with the reason kept for the log."""

import ctypes
import dataclasses
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

PRECISIONS = ("auto", "fp32", "bf16")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


@dataclasses.dataclass(frozen=True)
class Device:
    """A torch device and whether the forward pass autocasts to bfloat16.

    Args:
        name: ``cpu`` or ``cuda``.
        bf16: autocast the forward pass.
        reason: why, in words.
    """

    name: str
    bf16: bool
    reason: str

    def take(self, module: nn.Module) -> nn.Module:
        """Move a module here; convolutions run channels-last, which on a CPU is up to twice as fast."""
        return module.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def autocast(self) -> torch.autocast:
        """The context that the forward pass runs in."""
        return torch.autocast(self.name, dtype=torch.bfloat16, enabled=self.bf16)


class BusyClock:
    """The share of an epoch's time in which a GPU had a step's work to do.

    CUDA events mark where each step begins and ends on the GPU itself; what lies between steps, waiting for products
    to be decoded, is idle. Pauses between the kernels of one step count as work, so the share is an upper bound.
    On a CPU nothing is measured. Not yet run on a GPU.

    Args:
        device: where the steps run.
    """

    def __init__(self, device: Device) -> None:
        self._cuda = device.name == "cuda"
        self._started = time.monotonic()
        self._steps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around one step."""
        if not self._cuda:
            yield
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield
        end.record()
        self._steps.append((begin, end))

    def share(self) -> float | None:
        """0..1 since the clock was made; None where no step ran on a GPU."""
        if not self._steps:
            return None
        torch.cuda.synchronize()
        milliseconds: float = sum(begin.elapsed_time(end) for begin, end in self._steps)
        return min(1.0, milliseconds / 1000 / (time.monotonic() - self._started))


def choose_device(precision: str = "auto") -> Device:
    """CUDA where there is one; bfloat16 where the hardware multiplies matrices in it.

    On a CPU that is AMX (a training step of ResNet-18 at 224 pixels is 3.4 times faster with it) or AVX512-BF16 (2.2
    times, two cores of an AMD EPYC, November 2026); elsewhere bfloat16 is emulated and slower.

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
    """Have glibc keep what a step frees for the next step, instead of returning it to the system.

    By default each large tensor is mapped anew, and the system clears its pages one by one: a third to a half of a
    training step of EfficientNet-Lite0 on a CPU (batch 64, milliseconds before and after: 489 and 285 at 64 pixels,
    581 and 507 at 96, 1174 and 714 at 128; two cores of an Intel Xeon at 2.8 GHz, fp32, November 2026). The process
    stays as large as it once was.

    Returns:
        Whether it does; not where the C library has no ``mallopt``, or does not take these settings.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def loader_processes() -> int:
    """Extra processes that decode pictures, unless told otherwise: a GPU outruns one decoder, a CPU has none to spare.

    The number for a GPU is a guess until it has been measured on one.
    """
    if not torch.cuda.is_available():
        return 0
    return min(8, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _bf16_support(name: str) -> tuple[bool, str]:
    if name == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return supported, f"{torch.cuda.get_device_name()} {'has' if supported else 'lacks'} bfloat16"
    if torch.cpu._is_amx_tile_supported():
        return True, "this CPU has AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return True, "this CPU has AVX512-BF16"
    return False, "this CPU has no bfloat16 units"
