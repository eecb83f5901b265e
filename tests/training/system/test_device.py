"""Memory settings of the process."""

import subprocess
import sys

import pytest

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
