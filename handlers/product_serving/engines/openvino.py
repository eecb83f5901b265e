"""``model.onnx`` on OpenVINO in bf16: the fast engine of a CPU with bf16 instructions.

ONNX Runtime's OpenVINO provider supports Intel CPUs only; OpenVINO itself also runs on AMD CPUs with AVX512-BF16. An
answer is the same to the last bit with any other products and any padding in the batch.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, KeptFiles, Parts
from .onnx import load_parts

# OpenVINO builds and keeps kernels for every shape: the first batch of a new length costs some 6 ms and 2.5 MB.
TITLE_STEPS = {"input_ids": 4, "attention_mask": 4, "ngrams": 128}
BF16_TOLERANCE = 2e-2  # largest error of a score: bf16 has 8 significant bits


class OpenVinoEngine:
    """The graph with large matrix products in bf16, and weights and other operations in fp32.

    Args:
        path: the exported graph.
        threads: number of threads for one batch.

    Raises:
        EngineError: this CPU has no bf16.
    """

    tolerance = BF16_TOLERANCE

    def __init__(self, path: Path, *, threads: int) -> None:
        import openvino  # noqa: PLC0415 - a worker with another engine does not need it

        core = _shared_core(openvino.Core)
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineError("this CPU has no bf16")
        self._files, self._name, self._threads = KeptFiles(path.parent), path.name, threads
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
        for name, step in TITLE_STEPS.items():
            missing = -arrays[name].shape[1] % step
            arrays[name] = np.pad(arrays[name], ((0, 0), (0, missing)))  # masked tokens, and ids that count nothing
        logits: NDArray[np.float32] = self._model({name: arrays[name] for name in self._inputs})[0].copy()
        return logits

    def parts(self) -> Parts:
        """In fp32, by ONNX Runtime, so that an explanation shows the model without the rounding of bf16."""
        return load_parts(self._files, self._name, threads=self._threads)


@functools.cache
def _shared_core(core: type) -> Any:
    """The only OpenVINO core of this process, kept until the process ends.

    A core sets a signal stack for the calling thread and frees it when the core is deleted. With two cores, the first
    can free the stack that the second then restores (``SigAltStackSetup`` in OpenVINO's CPU plugin, 2026). The next
    signal that Python handles, such as SIGTERM for a worker, then ended the process with a segmentation fault.
    """
    return core()
