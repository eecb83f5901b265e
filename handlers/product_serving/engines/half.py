"""``model.pt`` with its towers in half precision, on any device; the normalisation and the head stay in fp32.

The traced graph casts each tower's input to the type of its weights, and the head's input to fp32
(:mod:`export.torchscript`). So it is enough to cast the towers' weights when they are loaded. Their multiplications
then run in half precision; LayerNorm, softmax and attention still add up in fp32. The head, a few per cent of the work,
rounds as the trained model does.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Parts
from .torchscript import TorchScriptEngine, load_graph

HALF = 2e-2  # of a score: bf16 keeps 8 bits of a number, fp16 11
HEAD = "classifier.head."
PRECISIONS = {"bf16": "bfloat16", "fp16": "float16"}


def load_half_graph(path: Path, *, device: str, precision: str) -> Any:
    """A traced graph whose towers compute in half precision.

    Args:
        path: ``model.pt``.
        device: ``cpu`` or ``cuda:N``.
        precision: of :data:`PRECISIONS`.

    Raises:
        EngineError: the precision is unknown.
    """
    import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

    if precision not in PRECISIONS:
        raise EngineError(f"half precision must be one of {sorted(PRECISIONS)}, got {precision!r}")
    graph = load_graph(path)
    for name, weight in graph.named_parameters():
        if not name.startswith(HEAD):
            layout = torch.channels_last if weight.dim() == 4 else torch.preserve_format
            weight.data = weight.data.to(getattr(torch, PRECISIONS[precision]), memory_format=layout)
    return graph.to(device)


class HalfEngine:
    """The half-precision graph on the CPU, in bf16: the export measures it in place of a GPU's. It does not serve.

    Args:
        path: ``model.pt``.
    """

    tolerance = HALF

    def __init__(self, path: Path) -> None:
        import torch  # noqa: PLC0415

        self._torch, self._path = torch, path
        self._graph = load_half_graph(path, device="cpu", precision="bf16")

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        with self._torch.inference_mode(), self._torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            tensors = [self._torch.from_numpy(array) for array in batch]
            logits: NDArray[np.float32] = self._graph(*tensors).numpy()
        return logits

    def parts(self) -> Parts:
        """In fp32: an explanation asks what the model does, not what half precision does to it."""
        return TorchScriptEngine(self._path, device="cpu", threads=self._torch.get_num_threads()).parts()
