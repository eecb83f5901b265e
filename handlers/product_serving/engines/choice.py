"""Which engine answers: by the machine, by what the archive was verified with, and by a short measurement."""

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from ..engine import Backend, BackendError
from ..settings import ProductSettings
from .cuda import CudaBackend
from .half import HalfBackend
from .int8 import Int8Backend, cpu_flags
from .onnx import OnnxBackend
from .openvino import OpenVinoBackend
from .torchscript import TorchScriptBackend

logger = logging.getLogger(__name__)
FAST = {"openvino": OpenVinoBackend.name, "int8": Int8Backend.name}  # of a CPU: as the settings and as answers name it
WORTH = 1.1  # times as fast as the reference; below, its exact answers are the better bargain


def fast_engines() -> list[str]:
    """The fast engines of a CPU, in the order in which they are tried.

    bf16 rounds less than int8, but without AMX it is the slower one: by a tenth on an AMD EPYC, by more than half on an
    Intel Xeon, where it does not even reach fp32 (docs/performance.md, "int8").
    """
    return ["openvino", "int8"] if "amx_bf16" in cpu_flags() else ["int8", "openvino"]


class Candidate(NamedTuple):
    """A backend that may be chosen.

    Args:
        engine: its name before it is loaded.
        build: loads it.
        reason: why it may be chosen.
    """

    engine: str
    build: Callable[[], Backend]
    reason: str


class Choice:
    """The choice of a backend for one archive.

    Args:
        folder: holds ``model.pt`` and ``model.onnx``, and ``model.int8.onnx`` if that was verified.
        gpu: the GPU that TorchServe gave this worker.
        threads: for a backend on the CPU.
        accept: raises where a backend's answers are not the expected ones.
        seconds: a backend's time for a batch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        gpu: int | None,
        threads: int,
        accept: Callable[[Backend], None],
        seconds: Callable[[Backend], float],
    ) -> None:
        self._folder, self._gpu, self._threads = folder, gpu, threads
        self._accept, self._seconds = accept, seconds
        self._passed_over: list[str] = []
        self._details: list[str] = []

    def choose(self, forced: str, *, verified: Collection[str] = ()) -> tuple[Backend, str]:
        """The fastest backend that loads and is accepted.

        Args:
            forced: name of an engine that has no second; ``auto`` takes captured graphs in half precision on a GPU,
                else TorchScript there, else the first of :func:`fast_engines` that pays, else ONNX Runtime, else
                TorchScript.
            verified: fast engines that passed the export's accuracy gate.

        Returns:
            The backend, and why it was chosen; which ones were passed over, and why.

        Raises:
            BackendError: none is left; the message says what was wrong with each.
        """
        if forced != "auto":
            return self._first([self._candidate(forced, f"settings ask for {forced}")])
        why = "no GPU" if self._gpu is None else f"GPU {self._gpu} was given"
        order = ["fp32", "torchscript"] if self._gpu is None else ["torchscript", "fp32"]
        if self._gpu is not None and HalfBackend.name in verified:
            order.insert(0, "cuda")
        backend, reason = self._first([self._candidate(engine, why) for engine in order])
        for engine in [engine for engine in fast_engines() if self._gpu is None and FAST[engine] in verified]:
            chosen, reason = self._faster(self._candidate(engine, why), backend, reason)
            if chosen is not backend:
                return chosen, reason
        return backend, reason

    def _first(self, candidates: list[Candidate]) -> tuple[Backend, str]:
        for candidate in candidates:
            if backend := self._load(candidate):
                return backend, self._reason(candidate.reason)
        raise BackendError("no backend gives the expected answers: " + "; ".join(self._details))

    def _faster(self, candidate: Candidate, reference: Backend, reason: str) -> tuple[Backend, str]:
        """The candidate, where it is worth its rounding; else the reference."""
        backend = self._load(candidate)
        if backend is None:
            return reference, f"{reason}; passed over {self._passed_over[-1]}"
        try:
            gain = self._seconds(reference) / self._seconds(backend)
        except Exception as error:
            self._pass_over(candidate, error)
            return reference, f"{reason}; passed over {self._passed_over[-1]}"
        if gain < WORTH:
            return reference, f"{reason}; {backend.name} is {gain:.2f} times as fast here"
        return backend, f"{reason}; {gain:.1f} times as fast here as {reference.name}"

    def _load(self, candidate: Candidate) -> Backend | None:
        try:
            backend = candidate.build()
            self._accept(backend)
        except Exception as error:  # whatever a driver, a library or a graph does, the next backend may still serve
            self._pass_over(candidate, error)
            return None
        return backend

    def _pass_over(self, candidate: Candidate, error: Exception) -> None:
        self._passed_over.append(f"{candidate.engine} ({type(error).__name__})")
        self._details.append(f"{candidate.engine}: {error}")
        logger.warning("backend %s is passed over: %s", candidate.engine, error)

    def _reason(self, why: str) -> str:
        return "; ".join([why, *(f"passed over {engine}" for engine in self._passed_over)])

    def _candidate(self, engine: str, why: str) -> Candidate:
        folder, threads = self._folder, self._threads
        device = "cpu" if self._gpu is None else f"cuda:{self._gpu}"
        builds: dict[str, Callable[[], Backend]] = {
            "cuda": lambda: CudaBackend(
                folder / "model.pt", gpu=self._gpu, settings=ProductSettings.from_json(folder / "settings.json")
            ),
            "fp32": lambda: OnnxBackend(folder / "model.onnx", threads=threads),
            "int8": lambda: Int8Backend(folder, threads=threads),
            "openvino": lambda: OpenVinoBackend(folder / "model.onnx", threads=threads),
            "torchscript": lambda: TorchScriptBackend(folder / "model.pt", device=device, threads=threads),
        }
        return Candidate("onnxruntime" if engine == "fp32" else engine, builds[engine], why)
