"""``model.pt`` on an NVIDIA GPU: half precision, channels last, captured graphs, uploads beside the computing.

Written without a GPU at hand: what is decided here and in :mod:`graph_replay` is tested on a CPU; nothing is measured.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import Arrays, BackendError, Parts
from ..settings import ProductSettings
from .graph_replay import Captured, GraphReplayer, Inputs
from .half import HALF, load_half_graph
from .torchscript import TorchScriptBackend

WARM_RUNS = 3  # libraries load their kernels and choose algorithms in the first ones, which a capture may not hold


class CudaBackend:
    """The half-precision graph, captured for many sizes.

    bf16 where the GPU multiplies in it, which cannot overflow; fp16 before that (compute capability 7.x).

    Args:
        path: ``model.pt``.
        gpu: its number; None where TorchServe gave none.
        settings: of the model, for its sizes.

    Attributes:
        replayer: of its graphs.

    Raises:
        BackendError: there is no such GPU, or it has no half precision worth the name.
        CaptureError: the graph cannot be captured.
    """

    tolerance = HALF

    def __init__(self, path: Path, *, gpu: int | None, settings: ProductSettings) -> None:
        import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

        if gpu is None or gpu >= torch.cuda.device_count():
            raise BackendError("no GPU" if gpu is None else f"no GPU {gpu}, there are {torch.cuda.device_count()}")
        precision = half_precision(torch.cuda.get_device_capability(gpu))
        self._path, self._device = path, f"cuda:{gpu}"
        graph = load_half_graph(path, device=self._device, precision=precision)
        self.name = f"cuda:{precision}"
        self.replayer = GraphReplayer(
            CudaDevice(graph, gpu=gpu), image_size=settings.image_size, max_tokens=settings.max_tokens
        )

    def __call__(self, batch: Arrays) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self.replayer(batch)

    def parts(self) -> Parts:
        """In fp32: an explanation asks what the model does, not what half precision does to it."""
        return TorchScriptBackend(self._path, device=self._device, threads=1).parts()


class CudaDevice:
    """A GPU as :class:`product_serving.engines.graph_replay.Device` has it.

    Args:
        graph: in the GPU's memory; four inputs -> logits.
        gpu: its number.
    """

    def __init__(self, graph: Any, *, gpu: int) -> None:
        import torch  # noqa: PLC0415

        self._torch, self._graph, self._gpu = torch, graph, torch.device("cuda", gpu)
        self._streams: dict[str, Any] = {}
        for name in ("upload", "compute"):
            self._streams[name] = torch.cuda.Stream(self._gpu)  # type: ignore[no-untyped-call]
        self._pool: Any = torch.cuda.graph_pool_handle()

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        """Pinned memory."""
        return self._torch.zeros(*shape, dtype=getattr(self._torch, dtype), pin_memory=True)

    def memory(self, shape: Sequence[int], dtype: str) -> Any:
        """Zeroed memory, before any stream goes on."""
        memory = self._torch.zeros(*shape, dtype=getattr(self._torch, dtype), device=self._gpu)
        self._torch.cuda.synchronize(self._gpu)
        return memory

    def copy(self, target: Any, source: Any, *, stream: str) -> None:
        """Copy in a stream."""
        with self._torch.cuda.stream(self._streams[stream]), self._torch.inference_mode():
            target.copy_(source, non_blocking=True)

    def record(self, stream: str) -> Any:
        """An event whose waiting thread sleeps: the decoders have a use for its core."""
        event = self._torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._streams[stream])
        return event

    def wait(self, stream: str, event: Any) -> None:
        """Order a stream behind an event."""
        self._streams[stream].wait_event(event)

    def finish(self, event: Any) -> None:
        """Sleep until the event."""
        event.synchronize()

    def capture(self, inputs: Inputs) -> Captured:
        """Warm up and capture on the stream that replays; all graphs share one pool, since one at a time runs.

        The executor does not optimise: its fusers compile while they watch the first runs, and compiling within a
        capture breaks it (pytorch/pytorch#99397).
        """
        torch, stream = self._torch, self._streams["compute"]
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
        with self._torch.cuda.stream(self._streams["compute"]):
            captured.replay()


def half_precision(capability: tuple[int, int]) -> str:
    """What a GPU's tensor cores multiply.

    Args:
        capability: its compute capability.

    Raises:
        BackendError: it has none.
    """
    if capability < (7, 0):
        raise BackendError(f"this GPU (compute capability {capability[0]}.{capability[1]}) has no tensor cores")
    return "bf16" if capability >= (8, 0) else "fp16"
