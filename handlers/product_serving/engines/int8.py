"""``model.int8.onnx`` on ONNX Runtime's CPU provider: the fast engine of a CPU with VNNI but without AMX.

The picture's scales are constants, and each title token has its own scale. So an answer does not depend on other
products of the batch or on the padding. With one scale for the whole batch it would.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, KeptFiles, Parts
from .onnx import OnnxEngine, load_parts

INT8_TOLERANCE = 0.1  # largest error of a score: activations between two layers have 256 steps
INT8_GRAPH = "model.int8.onnx"
CPU_INFO = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni"}


class Int8Engine:
    """The graph with convolutions and the large matrix products of the title's tower in int8.

    Args:
        folder: holds ``model.int8.onnx``, and ``model.onnx`` for explanations.
        threads: intra-op threads.

    Raises:
        EngineError: this CPU has no VNNI.
    """

    tolerance = INT8_TOLERANCE

    def __init__(self, folder: Path, *, threads: int) -> None:
        require_vnni()
        self._files, self._threads = KeptFiles(folder), threads
        self._graph = OnnxEngine(folder / INT8_GRAPH, threads=threads)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self._graph(batch)

    def parts(self) -> Parts:
        """In fp32, so that an explanation shows the model without the rounding of int8."""
        return load_parts(self._files, "model.onnx", threads=self._threads)


def require_vnni() -> None:
    """Refuse a CPU without VNNI: it adds int8 products in 16 bits, which saturate, so its answers would differ.

    Raises:
        EngineError: this CPU has no VNNI.
    """
    if not _VNNI & cpu_flags():
        raise EngineError("this CPU has no VNNI")


def cpu_flags() -> set[str]:
    """This CPU's features by their Linux names (``avx2``, ``avx512_vnni``, ``amx_bf16``); empty on other systems."""
    return set(CPU_INFO.read_text(encoding="utf-8").split()) if CPU_INFO.is_file() else set()
