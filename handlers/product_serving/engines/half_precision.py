"""``model.pt`` with its towers in half precision, on any device; normalisation and head stay in fp32.

The traced graph casts each tower's input to the type of the tower's weights, and the head's input to fp32
(:mod:`export.graphs.torchscript`). So casting the towers' weights after loading is enough. The towers then multiply in
half precision; LayerNorm, softmax and attention still accumulate in fp32. The head is a few per cent of the work.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Parts
from .torchscript import TorchScriptEngine, load_graph

HALF_TOLERANCE = 2e-2  # largest error of a score: bf16 has 8 significant bits, fp16 11
HEAD_PREFIX = "classifier.head."
HALF_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


def load_half_graph(path: Path, *, device: str, precision: str) -> Any:
    """Load a traced graph whose towers compute in half precision.

    Args:
        path: ``model.pt``.
        device: ``cpu`` or ``cuda:N``.
        precision: a key of :data:`HALF_DTYPES`.

    Raises:
        EngineError: the precision is unknown.
    """
    import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

    if precision not in HALF_DTYPES:
        raise EngineError(f"half precision must be one of {sorted(HALF_DTYPES)}, got {precision!r}")
    graph = load_graph(path)
    for name, weight in graph.named_parameters():
        if not name.startswith(HEAD_PREFIX):
            layout = torch.channels_last if weight.dim() == 4 else torch.preserve_format
            weight.data = weight.data.to(getattr(torch, HALF_DTYPES[precision]), memory_format=layout)
    return graph.to(device)


class HalfEngine:
    """The half-precision graph on the CPU, in bf16. The export measures it in place of a GPU; it never serves.

    Args:
        path: ``model.pt``.
    """

    tolerance = HALF_TOLERANCE

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
        """In fp32, so that an explanation shows the model without the rounding of half precision."""
        return TorchScriptEngine(self._path, device="cpu", threads=self._torch.get_num_threads()).parts()
