"""``model.onnx`` in its parts on ONNX Runtime's CPU provider, in fp32: the reference engine on a CPU.

Legend: B batch, C classes.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import FP32_TOLERANCE, Batch, Parts, no_features
from .towers import TowerEngine, Towers

# ONNX Runtime's wheel sends data on its use to its makers, and writes an identifier into the home folder, unless this
# is set before it is imported.
NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "1")
Source = str | bytes  # a graph's path, or its bytes
# Part -> the graph's inputs in the order of the part's arguments.
ARGUMENTS = {
    "cells": ("image",),
    "tokens": ("input_ids", "attention_mask"),
    "lexical": ("ngrams",),
    "letters": ("ngrams",),
    "classify": ("cells", "tokens", "attention_mask", "present", "lexical"),
}


class OnnxEngine(TowerEngine):
    """The parts of a graph on ONNX Runtime's CPU provider.

    Args:
        path: ``model.onnx``; its parts stand beside it, see :func:`part_files`.
        threads: intra-op threads.
        rounded: the same graph in int8, whose parts replace those of ``path`` as far as there are any.
    """

    tolerance = FP32_TOLERANCE

    def __init__(self, path: Path, *, threads: int, rounded: Path | None = None) -> None:
        files = part_files(path) | (part_files(rounded) if rounded else {})
        self._parts = session_parts({name: str(file) for name, file in files.items()}, threads=threads)
        self._towers = Towers(self._parts)

    def parts(self) -> Parts:
        """The parts that this engine computes."""
        return self._parts


class OnnxGraph:
    """A whole graph in one session, which computes all towers for each product. Only the export runs it.

    Args:
        path: of the graph.
        threads: intra-op threads.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        self._session = session(str(path), threads)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        logits: NDArray[np.float32] = _run(self._session, batch._asdict())[0]
        return logits


class KeptFiles:
    """The graphs of an archive, which explanations read again later. They stay open, so that they can be read even
    after they were deleted: archives are unpacked into a temporary folder, and many systems delete old files there.

    Args:
        folder: holds ``model.pt`` and the ``model*.onnx`` that share its weights.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = (path for path in folder.glob("model*") if path.is_file())
        self._descriptors = {path.name: os.open(path, os.O_RDONLY) for path in files}
        for descriptor in self._descriptors.values():
            weakref.finalize(self, os.close, descriptor)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file, or some of them."""
        descriptor = self._descriptors[name]
        return os.pread(descriptor, os.fstat(descriptor).st_size if length is None else length, offset)

    def path(self, name: str) -> Path:
        """Where a library can open a file."""
        return Path(f"/proc/self/fd/{self._descriptors[name]}")

    def parts(self, *, threads: int) -> Parts:
        """The parts of ``model.onnx`` in fp32; they hold a second copy of the weights in memory."""
        names = {name: f"model.{name}.onnx" for name in ARGUMENTS}
        return session_parts(
            {name: self._with_weights(file) for name, file in names.items() if file in self._descriptors},
            threads=threads,
        )

    def _with_weights(self, name: str) -> bytes:
        """A graph with the weights that it finds in other files: ONNX Runtime cannot find deleted ones."""
        import onnx  # noqa: PLC0415 - only explanations of a rounded engine need it

        model = onnx.load_model_from_string(self.read(name))
        for tensor in model.graph.initializer:
            place = {entry.key: entry.value for entry in tensor.external_data}
            if place:
                tensor.raw_data = self.read(place["location"], int(place["offset"]), int(place["length"]))
                tensor.ClearField("external_data")
                tensor.data_location = onnx.TensorProto.DEFAULT
        whole: bytes = model.SerializeToString()
        return whole


def part_files(path: Path) -> dict[str, Path]:
    """The files of a graph's parts, by name: ``model.cells.onnx`` and so on for ``model.onnx``."""
    files = {name: path.with_suffix(f".{name}.onnx") for name in ARGUMENTS}
    return {name: file for name, file in files.items() if file.is_file()}


def session_parts(sources: Mapping[str, Source], *, threads: int) -> Parts:
    """Load the parts of a graph, one session each.

    Args:
        sources: by name; a missing one gives no features.
        threads: intra-op threads.

    Raises:
        FileNotFoundError: there is no head.
    """
    if "classify" not in sources:
        raise FileNotFoundError("the graph has no part that classifies: model.classify.onnx")

    def part(name: str) -> Callable[..., Any]:
        if name not in sources:
            return no_features
        loaded = session(sources[name], threads)
        return lambda *arrays: _run(loaded, dict(zip(ARGUMENTS[name], arrays, strict=True)))[0]

    head = session(sources["classify"], threads)
    return Parts(
        part("cells"),
        part("tokens"),
        part("lexical"),
        lambda *features: tuple(_run(head, dict(zip(ARGUMENTS["classify"], features, strict=True)))),
    )


def session(source: Source, threads: int) -> Any:
    """Create a session from a graph's path or bytes."""
    os.environ.setdefault(*NO_TELEMETRY)
    import onnxruntime  # noqa: PLC0415 - the TorchScript path does not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take cores from other workers and the front end.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _run(loaded: Any, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Run a session on those of the arrays that it reads."""
    answers: list[NDArray[np.float32]] = loaded.run(
        None, {each.name: arrays[each.name] for each in loaded.get_inputs()}
    )
    return answers
