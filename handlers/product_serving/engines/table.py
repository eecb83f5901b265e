"""The engines, one row each: settings, choice, export, answers and metrics take their names from here.

A new engine is a row here and a module beside this one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from .cuda import CudaHalfEngine, require_gpu
from .engine import Engine, EngineError
from .int8 import Int8Engine
from .onnx import OnnxEngine
from .openvino import OpenVinoEngine
from .torchscript import TorchScriptEngine

AUTO = "auto"  # in the settings: each machine chooses


class Sizes(Protocol):
    """The largest batch that an engine is given; a model's settings have them."""

    @property
    def image_size(self) -> int:
        """H = W."""

    @property
    def max_tokens(self) -> int:
        """Of the longest title."""

    @property
    def max_batch(self) -> int:
        """Products."""


class Site(NamedTuple):
    """Where an engine runs.

    Args:
        folder: holds ``model.pt`` and ``model.onnx``, and ``model.int8.onnx`` if that was verified.
        sizes: the largest batch.
        threads: for an engine on the CPU.
        gpu: number of the GPU that TorchServe gave this worker.
    """

    folder: Path
    sizes: Sizes
    threads: int
    gpu: int | None = None


class EngineRow(NamedTuple):
    """An engine.

    Args:
        name: in settings, manifest, answers, metrics and documents.
        build: loads it; raises :class:`EngineError` where this machine cannot run it.
        device: ``cpu`` or ``gpu``.
        gate: the engine whose accuracy figures in the manifest must have passed; None for one that computes in fp32,
            of which the export proves that it answers as the trained model does.
    """

    name: str
    build: Callable[[Site], Engine]
    device: str
    gate: str | None = None


def _cuda_half(site: Site, precision: str) -> Engine:
    return CudaHalfEngine(
        site.folder / "model.pt",
        gpu=site.gpu,
        precision=precision,
        image_size=site.sizes.image_size,
        max_tokens=site.sizes.max_tokens,
        max_batch=site.sizes.max_batch,
    )


# Of a device, in the order of trying; fast engines of a CPU: see product_serving.engines.choice.
ENGINES = (
    EngineRow("onnx", lambda site: OnnxEngine(site.folder / "model.onnx", threads=site.threads), "cpu"),
    EngineRow(
        "torchscript",
        lambda site: TorchScriptEngine(site.folder / "model.pt", device="cpu", threads=site.threads),
        "cpu",
    ),
    EngineRow("int8", lambda site: Int8Engine(site.folder, threads=site.threads), "cpu", gate="int8"),
    EngineRow(
        "openvino",
        lambda site: OpenVinoEngine(site.folder / "model.onnx", threads=site.threads),
        "cpu",
        gate="openvino",
    ),
    # Both precisions run the graph that the export measures in bf16, which rounds more than fp16.
    EngineRow("cuda-bf16", lambda site: _cuda_half(site, "bf16"), "gpu", gate="cuda-bf16"),
    EngineRow("cuda-fp16", lambda site: _cuda_half(site, "fp16"), "gpu", gate="cuda-bf16"),
    EngineRow(
        "cuda",
        lambda site: TorchScriptEngine(site.folder / "model.pt", device=require_gpu(site.gpu), threads=site.threads),
        "gpu",
    ),
)
NAMES = tuple(row.name for row in ENGINES)


def engine_row(name: str) -> EngineRow:
    """The row of a name.

    Raises:
        EngineError: there is none; the message lists the names.
    """
    if name not in NAMES:
        raise EngineError(f"engine must be one of {NAMES}, got {name!r}")
    return ENGINES[NAMES.index(name)]
