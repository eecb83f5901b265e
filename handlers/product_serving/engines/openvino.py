"""``model.onnx`` on OpenVINO in bf16: the fast path of a CPU that multiplies bf16 by itself.

ONNX Runtime's own provider for OpenVINO offers Intel's processors only; OpenVINO itself also runs on AMD's with
AVX512-BF16. An answer is the same to the last bit, whatever its neighbours in the batch and its padding.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Parts
from .onnx import OnnxParts

# Kernels are built, and kept, for every shape: the first batch of a new length takes some 6 ms longer, and 2.5 MB.
TITLE_STEP = 4
BF16 = 2e-2  # of a score: bf16 keeps 8 bits of a number


class OpenVinoEngine:
    """The graph with its large multiplications in bf16, the weights and the rest in fp32.

    Args:
        path: the exported graph.
        threads: for one batch.

    Raises:
        EngineError: this CPU has no bf16.
    """

    tolerance = BF16

    def __init__(self, path: Path, *, threads: int) -> None:
        import openvino  # noqa: PLC0415 - a worker that another engine answers in does not pay for it

        core = _only(openvino.Core)
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineError("this CPU has no bf16")
        self._path, self._threads = path, threads
        options = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # two workers would be pinned to the same cores
        }
        self._model: Any = core.compile_model(str(path), "CPU", options)
        self._inputs = [value.any_name for value in self._model.inputs]

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        arrays = batch._asdict()
        for title in ("input_ids", "attention_mask"):
            arrays[title] = _lengthened(arrays[title])
        logits: NDArray[np.float32] = self._model({name: arrays[name] for name in self._inputs})[0].copy()
        return logits

    def parts(self) -> Parts:
        """In fp32, by ONNX Runtime: an explanation asks what the model does, not what bf16 does to it."""
        return OnnxParts(self._path, threads=self._threads)


@functools.cache
def _only(core: type) -> Any:
    """The one core of this process, kept until its end.

    A core gives the calling thread its own stack for signals, and frees it when the core goes. With two cores, the
    first can free the stack that the second then restores (``SigAltStackSetup`` in OpenVINO's CPU plugin, 2026). The
    next signal that Python handles, such as SIGTERM for a worker, then ended the process by a segmentation fault.
    """
    return core()


def _lengthened(titles: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B, T) with masked tokens up to a multiple of ``TITLE_STEP``."""
    return np.pad(titles, ((0, 0), (0, -titles.shape[1] % TITLE_STEP)))
