"""``model.int8.onnx`` on ONNX Runtime's CPU provider: the fast path of a CPU that has VNNI, but no AMX.

The picture's scales are constants, and each title token has its own scale. So an answer depends neither on its
neighbours in the batch nor on the padding. With one scale for the whole batch it would.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Parts
from .onnx import OnnxEngine, OnnxParts

INT8 = 0.1  # of a score: a picture's values between two layers have 256 steps
INT8_GRAPH = "model.int8.onnx"
CPU_INFO = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni"}


class Int8Engine:
    """The graph with its convolutions and the title's large multiplications in int8.

    Args:
        folder: holds ``model.int8.onnx``, and ``model.onnx`` for explanations.
        threads: intra-op threads.

    Raises:
        EngineError: this CPU has no VNNI.
    """

    tolerance = INT8

    def __init__(self, folder: Path, *, threads: int) -> None:
        require_vnni()
        self._exact, self._threads = folder / "model.onnx", threads
        self._graph = OnnxEngine(folder / INT8_GRAPH, threads=threads)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self._graph(batch)

    def parts(self) -> Parts:
        """In fp32: an explanation asks what the model does, not what int8 does to it."""
        return OnnxParts(self._exact, threads=self._threads)


def require_vnni() -> None:
    """Refuse a CPU without VNNI: it adds the products of int8 in 16 bits, which saturate.

    Its answers would not be those that were verified.

    Raises:
        EngineError: it has no VNNI.
    """
    if not _VNNI & cpu_flags():
        raise EngineError("this CPU has no VNNI")


def cpu_flags() -> set[str]:
    """This CPU's features as Linux names them (``avx2``, ``avx512_vnni``, ``amx_bf16``); none on another system."""
    return set(CPU_INFO.read_text(encoding="utf-8").split()) if CPU_INFO.is_file() else set()
