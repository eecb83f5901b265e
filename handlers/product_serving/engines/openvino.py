"""``model.onnx`` in its parts on OpenVINO in bf16: the fast engine of a CPU with bf16 instructions.

ONNX Runtime's OpenVINO provider supports Intel CPUs only; OpenVINO itself also runs on AMD CPUs with AVX512-BF16. An
answer is the same to the last bit with any other products and any padding in the batch.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Outputs, Parts, no_features
from .onnx import ARGUMENTS, KeptFiles, part_files
from .towers import TowerEngine, Towers

# OpenVINO builds and keeps kernels for every shape: the first batch of a new length costs some 6 ms and 2.5 MB.
TITLE_STEPS = {"input_ids": 4, "attention_mask": 4, "ngrams": 128}
BF16_TOLERANCE = 2e-2  # largest error of a score: bf16 has 8 significant bits


class OpenVinoEngine(TowerEngine):
    """The graph with large matrix products in bf16, and weights and other operations in fp32.

    Args:
        path: ``model.onnx``; its parts stand beside it.
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
        self._files, self._threads = KeptFiles(path.parent), threads
        options = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # two workers would be pinned to the same cores
        }
        files = part_files(path)

        def part(name: str) -> Callable[..., Any]:
            model = core.compile_model(str(files[name]), "CPU", options)
            return functools.partial(_run, model, ARGUMENTS[name], {value.any_name for value in model.inputs})

        def tower(name: str) -> Callable[..., Any]:
            if name not in files:
                return no_features
            run = part(name)
            return lambda *arrays: run(*arrays)[0]

        head = part("classify")
        self._towers = Towers(
            Parts(tower("cells"), tower("tokens"), tower("lexical"), lambda *features: tuple(head(*features)))
        )

    def outputs(self, batch: Batch) -> Outputs:
        """A batch -> :class:`product_serving.engines.engine.Outputs`."""
        arrays = batch._asdict()
        for name, step in TITLE_STEPS.items():
            missing = -arrays[name].shape[1] % step
            arrays[name] = np.pad(arrays[name], ((0, 0), (0, missing)))  # masked tokens, and ids that count nothing
        return super().outputs(Batch(**arrays))

    def parts(self) -> Parts:
        """In fp32, by ONNX Runtime, so that an explanation shows the model without the rounding of bf16."""
        return self._files.parts(threads=self._threads)


def _run(model: Any, arguments: tuple[str, ...], read: set[str], *arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Run a compiled model on those of the arrays that it reads."""
    given = {name: array for name, array in zip(arguments, arrays, strict=True) if name in read}
    return [output.copy() for output in model(given).values()]


@functools.cache
def _shared_core(core: type) -> Any:
    """The only OpenVINO core of this process, kept until the process ends.

    A core sets a signal stack for the calling thread and frees it when the core is deleted. With two cores, the first
    can free the stack that the second then restores (``SigAltStackSetup`` in OpenVINO's CPU plugin, 2026). The next
    signal that Python handles, such as SIGTERM for a worker, then ended the process with a segmentation fault.
    """
    return core()
