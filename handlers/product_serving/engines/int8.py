"""``model.int8.onnx`` in its parts on ONNX Runtime's CPU provider: the fast engine of a CPU with VNNI but without AMX.

The picture's scales are constants, and each title token has its own scale. So an answer does not depend on other
products of the batch or on the padding. With one scale for the whole batch it would.
"""

from pathlib import Path

from .engine import EngineError, Parts
from .onnx import KeptFiles, OnnxEngine

INT8_TOLERANCE = 0.1  # largest error of a score: activations between two layers have 256 steps
INT8_GRAPH = "model.int8.onnx"  # its parts stand in the archive
CPU_INFO = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni"}


class Int8Engine(OnnxEngine):
    """The graph with convolutions and the large matrix products of the title's tower in int8.

    Args:
        folder: holds the parts of ``model.int8.onnx`` and of ``model.onnx``.
        threads: intra-op threads.

    Raises:
        EngineError: this CPU has no VNNI.
    """

    tolerance = INT8_TOLERANCE

    def __init__(self, folder: Path, *, threads: int) -> None:
        require_vnni()
        self._files, self._threads = KeptFiles(folder), threads
        super().__init__(folder / "model.onnx", threads=threads, rounded=folder / INT8_GRAPH)

    def parts(self) -> Parts:
        """In fp32, so that an explanation shows the model without the rounding of int8."""
        return self._files.parts(threads=self._threads)


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
