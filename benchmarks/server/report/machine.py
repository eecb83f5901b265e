"""The machine, the versions and the commit of a measurement."""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.server.systems.peer import triton_python
from benchmarks.server.systems.torchserve_config import ROOT
from handlers.product_serving.resources import usable_cores

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "onnxruntime", "openvino", "torchserve", "numpy", "pillow", "tokenizers")
PEERS = ("fastapi", "uvicorn", "litserve", "mosec", "bentoml", "ray")
TRITON = ("nvidia-pytriton",)


def describe_machine(peers_python: Path) -> dict[str, Any]:
    """Describe the processor, the memory, the versions and the commit; the result can be written as JSON.

    Args:
        peers_python: Python of the peers' environment.
    """
    first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    core = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in first.splitlines() if ":" in line)
    flags = core.get("flags", "").split()
    return {
        "cpu": core.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "kernel": platform.release(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "peers": _versions(peers_python, PEERS) | _versions(triton_python(peers_python), TRITON),
        "commit": _commit(),
    }


def _versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    if not python.exists():
        return dict.fromkeys(packages, "-")
    code = (
        "import importlib.metadata as m\n"
        f"for name in {packages!r}:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: print(name, '-')"
    )
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return dict(line.split() for line in result.stdout.splitlines())


def _commit() -> str:
    """The commit, with ``-dirty`` if files differ from it; ``unknown`` outside a Git checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
