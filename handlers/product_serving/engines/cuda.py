"""``model.pt`` on an NVIDIA GPU, in half precision, channels last, with CUDA graphs.

Written without a GPU: the tests of this module and of :mod:`graph_replay` run on a CPU, and the speed on a GPU is not
measured.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError, Outputs, Parts
from .graph_replay import CAPTURE_SECONDS, Captured, GraphReplayer, Inputs
from .half_precision import HALF_TOLERANCE, load_half_graph
from .onnx import KeptFiles
from .torchscript import TorchScriptEngine

WARM_RUNS = 3  # the first runs load kernels and choose algorithms, which a capture must not contain


class CudaHalfEngine:
    """The half-precision graph, captured for many sizes.

    Args:
        path: ``model.pt``.
        gpu: number of the GPU; None if TorchServe assigned none.
        precision: ``bf16`` or ``fp16``; must be the one that :func:`half_precision` returns for this GPU.
        image_size: H = W.
        max_tokens: length of the longest title.
        max_ngrams: the most ids of a title's letters; 1 for a model that does not read them.
        max_batch: the most products in a batch.

    Attributes:
        replayer: replays the captured graphs.
        titles: the same for products without a picture; None for a model of one modality.

    Raises:
        EngineError: there is no such GPU, or it computes in the other precision.
        CaptureError: the graph cannot be captured.
    """

    tolerance = HALF_TOLERANCE

    def __init__(
        self,
        path: Path,
        *,
        gpu: int | None,
        precision: str,
        image_size: int,
        max_tokens: int,
        max_ngrams: int,
        max_batch: int,
    ) -> None:
        import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

        self._device, self._files, self._name = require_gpu(gpu), KeptFiles(path.parent), path.name
        own = half_precision(torch.cuda.get_device_capability(gpu))
        if own != precision:
            raise EngineError(f"this GPU computes in {own}, not in {precision}")
        graph = load_half_graph(path, device=self._device, precision=precision)
        limits = {"max_tokens": max_tokens, "max_ngrams": max_ngrams, "max_batch": max_batch}
        fusion = hasattr(graph, "cells") and hasattr(graph, "tokens")
        seconds = CAPTURE_SECONDS / (1 + fusion)

        def replayer(compute: Any, size: int) -> GraphReplayer:
            return GraphReplayer(CudaDevice(compute, device=self._device), image_size=size, seconds=seconds, **limits)

        self.replayer = replayer(whole_graph(graph), image_size)
        self.titles = replayer(without_pictures(graph, image_size), 1) if fusion else None

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self.outputs(batch).logits

    def outputs(self, batch: Batch) -> Outputs:
        """A batch -> :class:`product_serving.engines.engine.Outputs`; without a picture, its tower is not run."""
        pictures = batch.present[:, 0]
        if self.titles is None or pictures.all():
            return _split(self.replayer(batch))
        titles = batch.rows(np.flatnonzero(~pictures))
        alone = self.titles(titles._replace(image=titles.image[:, :, :1, :1]))
        if not pictures.any():
            return _split(alone)
        columns = np.empty((len(pictures), alone.shape[1]), dtype=np.float32)
        columns[~pictures] = alone
        columns[pictures] = self.replayer(batch.rows(np.flatnonzero(pictures)))
        return _split(columns)

    def parts(self) -> Parts:
        """In fp32, so that an explanation shows the model without the rounding of half precision."""
        return TorchScriptEngine(self._files.path(self._name), device=self._device, threads=1).parts()


def whole_graph(graph: Any) -> Callable[..., Any]:
    """The graph with all towers: inputs -> (B, C + 1) tensor, the logits and the agreement."""
    return functools.partial(_computed, graph, None)


def without_pictures(graph: Any, image_size: int) -> Callable[..., Any]:
    """The same without the picture's tower, for products that have no picture; the input ``image`` is not read."""
    import torch  # noqa: PLC0415

    device = next(graph.parameters()).device
    with torch.inference_mode():
        cells = graph.cells(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8, device=device))
    return functools.partial(_computed, graph, torch.zeros_like(cells))


def _computed(graph: Any, cells: Any, *inputs: Any) -> Any:
    import torch  # noqa: PLC0415

    image, input_ids, attention_mask, present, ngrams = inputs
    nothing = torch.empty(0, device=present.device)
    if cells is None:
        cells = graph.cells(image) if hasattr(graph, "cells") else nothing
    else:
        cells = cells.expand(len(present), -1, -1)
    tokens = graph.tokens(input_ids, attention_mask) if hasattr(graph, "tokens") else nothing
    lexical = graph.lexical(ngrams) if hasattr(graph, "lexical") else nothing
    logits, agreement = graph.classify(cells, tokens, attention_mask, present, lexical)
    return torch.cat([logits, agreement[:, None]], dim=1)


def _split(columns: NDArray[np.float32]) -> Outputs:
    return Outputs(columns[:, :-1], columns[:, -1])


class CudaDevice:
    """A GPU that implements :class:`product_serving.engines.graph_replay.ReplayDevice`.

    Args:
        graph: in the GPU's memory; the inputs -> one tensor.
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
        """Memory of the GPU, zeroed before the stream continues."""
        memory = self._torch.zeros(*shape, dtype=getattr(self._torch, dtype), device=self._gpu)
        self._torch.cuda.synchronize(self._gpu)
        return memory

    def copy(self, target: Any, source: Any) -> None:
        """Copy in the stream."""
        with self._torch.cuda.stream(self._stream), self._torch.inference_mode():
            target.copy_(source, non_blocking=True)

    def finish(self) -> None:
        """Sleep until the stream is done, so that threads that decode pictures can use this core."""
        event = self._torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        event.synchronize()

    def capture(self, inputs: Inputs) -> Captured:
        """Warm up and capture, on the stream that replays. All graphs share one memory pool: they run one at a time.

        The TorchScript executor must not optimise here: its fusers compile during the first runs, and compiling within
        a capture breaks the capture (pytorch/pytorch#99397).
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
    """Return PyTorch's name of a GPU, ``cuda:N``.

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
    """Return a GPU's half precision: bf16 if its tensor cores support it, because bf16 cannot overflow; else fp16.

    Args:
        capability: compute capability of the GPU.

    Raises:
        EngineError: the GPU has no tensor cores.
    """
    if capability < (7, 0):
        raise EngineError(f"this GPU (compute capability {capability[0]}.{capability[1]}) has no tensor cores")
    return "bf16" if capability >= (8, 0) else "fp16"
