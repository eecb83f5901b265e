"""``model.pt`` on a GPU or the CPU, in fp32.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, C classes.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import FP32_TOLERANCE, NO_FEATURES, Batch, Parts


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
        return _TorchScriptParts(self._graph, self._run)

    def _run(self, method: Callable[..., Any], *arrays: NDArray[Any]) -> NDArray[np.float32]:
        with self._torch.inference_mode():
            tensors = [self._torch.from_numpy(array).to(self._device) for array in arrays]
            answer: NDArray[np.float32] = method(*tensors).float().cpu().numpy()
        return answer


class _TorchScriptParts:
    """The traced graph's methods as parts."""

    def __init__(self, graph: Any, run: Callable[..., NDArray[np.float32]]) -> None:
        self._graph, self._run = graph, run

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._run(self._graph.cells, image) if hasattr(self._graph, "cells") else NO_FEATURES

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return (
            self._run(self._graph.tokens, input_ids, attention_mask) if hasattr(self._graph, "tokens") else NO_FEATURES
        )

    def classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        return self._run(self._graph.classify, cells, tokens, attention_mask, present)
