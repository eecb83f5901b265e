"""``model.pt`` on a GPU or the CPU, in fp32.

Legend: B batch, C classes.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import FP32_TOLERANCE, Batch, Outputs, Parts, no_features
from .towers import Towers


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

        self._towers = Towers(
            Parts(*(self._part(name) for name in Parts._fields)),
            lambda shape: torch.zeros(tuple(shape), device=self._device),
        )

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self.outputs(batch).logits

    def outputs(self, batch: Batch) -> Outputs:
        """A batch -> :class:`product_serving.engines.engine.Outputs`; features stay on the device."""
        with self._torch.inference_mode():
            return Outputs(*map(_to_numpy, self._towers(batch)))

    def parts(self) -> Parts:
        """The methods that :func:`export.graphs.torchscript.export_torchscript` traced, on the same weights."""

        def on_arrays(part: Callable[..., Any]) -> Callable[..., Any]:
            if part is no_features:
                return part

            def run(*arrays: NDArray[Any]) -> Any:
                with self._torch.inference_mode():
                    answer = part(*arrays)
                    return tuple(map(_to_numpy, answer)) if isinstance(answer, tuple) else _to_numpy(answer)

            return run

        return Parts(*(on_arrays(self._part(name)) for name in Parts._fields))

    def _part(self, name: str) -> Callable[..., Any]:
        """A method of the graph, for arrays or tensors."""
        method = getattr(self._graph, name, None)
        if method is None:
            return no_features
        return lambda *values: method(*(self._torch.as_tensor(value).to(self._device) for value in values))


def _to_numpy(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
