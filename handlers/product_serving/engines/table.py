"""The table of engines; settings, choice, export, answers and metrics take the names from it.

To add an engine, add a row here and a module beside this one.
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

AUTO = "auto"  # each machine chooses


class InputLimits(Protocol):
    """Limits of a batch, as the model's settings hold them."""

    @property
    def image_size(self) -> int:
        """H = W."""

    @property
    def max_tokens(self) -> int:
        """Length of the longest title."""

    @property
    def max_ngrams(self) -> int:
        """The most ids of a title's letters; 1 for a model that does not read them."""

    @property
    def max_batch(self) -> int:
        """The most products in a batch."""


class LoadOptions(NamedTuple):
    """The archive and the machine, to load an engine with.

    Args:
        folder: holds ``model.pt`` and ``model.onnx``, and ``model.int8.onnx`` if it was verified.
        limits: of a batch.
        threads: number of threads of a CPU engine.
        gpu: number of the GPU that TorchServe assigned to this worker; None without a GPU.
    """

    folder: Path
    limits: InputLimits
    threads: int
    gpu: int | None = None


class EngineRow(NamedTuple):
    """One engine.

    Args:
        name: used in settings, manifest, answers, metrics and documents.
        build: loads the engine; raises :class:`EngineError` if this machine cannot run it.
        device: ``cpu`` or ``gpu``.
        gate: name of the engine whose accuracy figures in the manifest must have passed. None for an exact engine
            (fp32): the export requires that it agrees with the trained model.
    """

    name: str
    build: Callable[[LoadOptions], Engine]
    device: str
    gate: str | None = None


def _cuda_half(options: LoadOptions, precision: str) -> Engine:
    return CudaHalfEngine(
        options.folder / "model.pt",
        gpu=options.gpu,
        precision=precision,
        image_size=options.limits.image_size,
        max_tokens=options.limits.max_tokens,
        max_ngrams=options.limits.max_ngrams,
        max_batch=options.limits.max_batch,
    )


# Engines of one device are tried in this order, except for fast CPU engines: see product_serving.engines.choice.
ENGINES = (
    EngineRow("onnx", lambda options: OnnxEngine(options.folder / "model.onnx", threads=options.threads), "cpu"),
    EngineRow(
        "torchscript",
        lambda options: TorchScriptEngine(options.folder / "model.pt", device="cpu", threads=options.threads),
        "cpu",
    ),
    EngineRow("int8", lambda options: Int8Engine(options.folder, threads=options.threads), "cpu", gate="int8"),
    EngineRow(
        "openvino",
        lambda options: OpenVinoEngine(options.folder / "model.onnx", threads=options.threads),
        "cpu",
        gate="openvino",
    ),
    # The export measures this graph in bf16 for both precisions, because bf16 rounds more than fp16.
    EngineRow("cuda-bf16", lambda options: _cuda_half(options, "bf16"), "gpu", gate="cuda-bf16"),
    EngineRow("cuda-fp16", lambda options: _cuda_half(options, "fp16"), "gpu", gate="cuda-bf16"),
    EngineRow(
        "cuda",
        lambda options: TorchScriptEngine(
            options.folder / "model.pt", device=require_gpu(options.gpu), threads=options.threads
        ),
        "gpu",
    ),
)
ENGINE_NAMES = tuple(row.name for row in ENGINES)


def engine_row(name: str) -> EngineRow:
    """Return the row of an engine.

    Raises:
        EngineError: the name is unknown; the message lists the names.
    """
    if name not in ENGINE_NAMES:
        raise EngineError(f"engine must be one of {ENGINE_NAMES}, got {name!r}")
    return ENGINES[ENGINE_NAMES.index(name)]
