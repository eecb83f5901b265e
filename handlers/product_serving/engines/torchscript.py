"""``model.pt`` on a GPU or the CPU, in fp32.

Legend: B batch, C classes.
"""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import FP32_TOLERANCE, Batch, Parts, no_features


def load_graph(path: Path) -> Any:
    """Load ``model.pt`` on the CPU; move it to its device with ``to``.

    Loading directly onto a GPU would put constants there too. Sizes are computed from these constants, so each would be
    fetched back from the GPU, which takes time and is not allowed in a captured graph.
    """
    import torch  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.14 announces the end of TorchScript on every load
        graph: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return graph.eval()


class TorchScriptEngine:
    """``model.pt`` on a GPU or the CPU.

    Args:
        path: the traced graph.
        device: ``cpu`` or ``cuda:N``.
        threads: intra-op threads on a CPU.
    """

    tolerance = FP32_TOLERANCE

    def __init__(self, path: Path, *, device: str, threads: int) -> None:
        import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

        self._torch = torch
        self._device = torch.device(device)
        if self._device.type == "cpu":
            torch.set_num_threads(threads)
        self._graph = load_graph(path).to(self._device)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self._run(self._graph, *batch)

    def parts(self) -> Parts:
        """The methods that :func:`export.torchscript.export_torchscript` traced, on the same weights."""

        def part(name: str) -> Callable[..., NDArray[np.float32]]:
            method = getattr(self._graph, name, None)
            return no_features if method is None else functools.partial(self._run, method)

        return Parts(part("cells"), part("tokens"), part("lexical"), part("classify"))

    def _run(self, method: Callable[..., Any], *arrays: NDArray[Any]) -> NDArray[np.float32]:
        with self._torch.inference_mode():
            tensors = [self._torch.from_numpy(array).to(self._device) for array in arrays]
            answer: NDArray[np.float32] = method(*tensors).float().cpu().numpy()
        return answer
