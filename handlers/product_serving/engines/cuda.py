"""``model.pt`` on an NVIDIA GPU in half precision, channels last, by captured graphs.

Written without a GPU at hand: the tests of this module and of :mod:`graph_replay` run on a CPU, and its speed is not
measured on a GPU.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Parts
from .graph_replay import Captured, GraphReplayer, Inputs
from .half import HALF, load_half_graph
from .torchscript import TorchScriptEngine

WARM_RUNS = 3  # libraries load their kernels and choose algorithms in the first ones, which a capture may not hold


class CudaHalfEngine:
    """The half-precision graph, captured for many sizes.

    Args:
        path: ``model.pt``.
        gpu: its number; None where TorchServe gave none.
        precision: the one that :func:`half_precision` names for this GPU.
        image_size: H = W.
        max_tokens: of the longest title.
        max_batch: the most products in a batch.

    Attributes:
        replayer: of its graphs.

    Raises:
        EngineError: there is no such GPU, or it is not one for this precision.
        CaptureError: the graph cannot be captured.
    """

    tolerance = HALF

    def __init__(
        self, path: Path, *, gpu: int | None, precision: str, image_size: int, max_tokens: int, max_batch: int
    ) -> None:
        import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

        self._path, self._device = path, require_gpu(gpu)
        own = half_precision(torch.cuda.get_device_capability(gpu))
        if own != precision:
            raise EngineError(f"this GPU answers in {own}, not in {precision}")
        graph = load_half_graph(path, device=self._device, precision=precision)
        self.replayer = GraphReplayer(
            CudaDevice(graph, device=self._device), image_size=image_size, max_tokens=max_tokens, max_batch=max_batch
        )

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self.replayer(batch)

    def parts(self) -> Parts:
        """In fp32: an explanation asks what the model does, not what half precision does to it."""
        return TorchScriptEngine(self._path, device=self._device, threads=1).parts()


class CudaDevice:
    """A GPU as :class:`product_serving.engines.graph_replay.Device` has it.

    Args:
        graph: in the GPU's memory; four inputs -> logits.
        device: ``cuda:N``.
    """

    def __init__(self, graph: Any, *, device: str) -> None:
        import torch  # noqa: PLC0415

        self._torch, self._graph, self._gpu = torch, graph, torch.device(device)
        self._stream: Any = torch.cuda.Stream(self._gpu)  # type: ignore[no-untyped-call]
        self._pool: Any = torch.cuda.graph_pool_handle()

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        """Pinned memory."""
        return self._torch.zeros(*shape, dtype=getattr(self._torch, dtype), pin_memory=True)

    def memory(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory that is zeroed before the stream goes on."""
        memory = self._torch.zeros(*shape, dtype=getattr(self._torch, dtype), device=self._gpu)
        self._torch.cuda.synchronize(self._gpu)
        return memory

    def copy(self, target: Any, source: Any) -> None:
        """Copy in the stream."""
        with self._torch.cuda.stream(self._stream), self._torch.inference_mode():
            target.copy_(source, non_blocking=True)

    def finish(self) -> None:
        """Sleep until the stream is done: the threads that decode pictures have a use for this one's core."""
        event = self._torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        event.synchronize()

    def capture(self, inputs: Inputs) -> Captured:
        """Warm up and capture on the stream that replays; all graphs share one pool, since one at a time runs.

        The executor does not optimise: its fusers compile while they watch the first runs, and compiling within a
        capture breaks it (pytorch/pytorch#99397).
        """
        torch, stream = self._torch, self._stream
        captured = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.jit.optimized_execution(False):
            with torch.cuda.stream(stream):
                for _ in range(WARM_RUNS):
                    self._graph(*inputs)
            stream.synchronize()
            with torch.cuda.graph(captured, pool=self._pool, stream=stream):
                logits = self._graph(*inputs)
        stream.synchronize()
        return Captured(lambda: self._replay(captured), logits)

    def _replay(self, captured: Any) -> None:
        with self._torch.cuda.stream(self._stream):
            captured.replay()


def require_gpu(gpu: int | None) -> str:
    """PyTorch's name for a GPU, ``cuda:N``.

    Raises:
        EngineError: there is no such GPU.
    """
    import torch  # noqa: PLC0415

    if gpu is None:
        raise EngineError("no GPU")
    if gpu >= torch.cuda.device_count():
        raise EngineError(f"no GPU {gpu}, there are {torch.cuda.device_count()}")
    return f"cuda:{gpu}"


def half_precision(capability: tuple[int, int]) -> str:
    """The half precision of a GPU: bf16, which cannot overflow, where its tensor cores have it, else fp16.

    Args:
        capability: its compute capability.

    Raises:
        EngineError: it has no tensor cores.
    """
    if capability < (7, 0):
        raise EngineError(f"this GPU (compute capability {capability[0]}.{capability[1]}) has no tensor cores")
    return "bf16" if capability >= (8, 0) else "fp16"
