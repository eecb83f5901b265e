"""TorchScript and ONNX Runtime behind one call, and the choice between them with its reason.

Legend: B batch, C classes.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class Arrays(Protocol):
    """A batch of arrays by the graph's input names; what :func:`preprocessing.collate` makes."""

    def _asdict(self) -> dict[str, Any]: ...


class Backend(Protocol):
    """Something that runs a graph.

    Args:
        name: engine and device, as answered.
    """

    name: str

    def __call__(self, batch: Arrays) -> NDArray[np.float32]: ...


class BackendError(RuntimeError):
    """No backend gives the expected answers."""


class TorchScriptBackend:
    """``model.pt`` on a GPU or the CPU.

    Args:
        path: the traced graph.
        device: ``cpu`` or ``cuda:N``.
        threads: intra-op threads on a CPU.
    """

    def __init__(self, path: Path, *, device: str, threads: int) -> None:
        import torch  # noqa: PLC0415 - seconds and gigabytes that the ONNX path must not pay for

        self._torch = torch
        self._device = torch.device(device)
        self.name = f"torchscript:{self._device.type}"
        if self._device.type == "cpu":
            torch.set_num_threads(threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.14 announces the end of TorchScript on every load
            self._graph = torch.jit.load(str(path), map_location=self._device)  # type: ignore[no-untyped-call]
        self._graph.eval()

    def __call__(self, batch: Arrays) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        with self._torch.inference_mode(), self._full_precision():
            tensors = [self._torch.from_numpy(array).to(self._device) for array in batch._asdict().values()]
            logits: NDArray[np.float32] = self._graph(*tensors).float().cpu().numpy()
        return logits

    def _full_precision(self) -> contextlib.AbstractContextManager[None]:
        """No TF32 in convolutions, torch's default on a GPU: its 10-bit mantissa would fail the golden products."""
        if self._device.type == "cpu":
            return contextlib.nullcontext()
        full: contextlib.AbstractContextManager[None] = self._torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return full


class OnnxBackend:
    """``model.onnx`` on ONNX Runtime's CPU provider.

    Args:
        path: the exported graph.
        threads: intra-op threads.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415 - the TorchScript path does not need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads take the cores from the other workers and from the front end while they wait.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]
        self.name = "onnxruntime:cpu"

    def __call__(self, batch: Arrays) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        arrays = batch._asdict()
        logits: NDArray[np.float32] = self._session.run(None, {name: arrays[name] for name in self._inputs})[0]
        return logits


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


def choose_backend(
    folder: Path, *, forced: str, gpu: int | None, threads: int, accept: Callable[[Backend], None]
) -> tuple[Backend, str]:
    """The first backend that loads and is accepted.

    Args:
        folder: holds ``model.pt`` and ``model.onnx``.
        forced: ``onnx`` or ``torchscript``; ``auto`` takes TorchScript on a GPU, else ONNX Runtime, else TorchScript.
        gpu: the GPU that TorchServe gave this worker.
        threads: for a backend on the CPU.
        accept: raises where a backend's answers are not the expected ones.

    Returns:
        The backend, and why it was chosen; which ones were passed over, by the kind of their error.

    Raises:
        BackendError: none is left; the message says what was wrong with each.
    """
    passed_over: list[str] = []
    details: list[str] = []
    for candidate in _candidates(folder, forced, gpu, threads):
        try:
            backend = candidate.build()
            accept(backend)
        except Exception as error:  # whatever a driver, a library or a graph does, the next backend may still serve
            passed_over.append(f"{candidate.engine} ({type(error).__name__})")
            details.append(f"{candidate.engine}: {error}")
            logger.warning("backend %s is passed over: %s", candidate.engine, error)
        else:
            return backend, "; ".join([candidate.reason, *(f"passed over {engine}" for engine in passed_over)])
    raise BackendError("no backend gives the expected answers: " + "; ".join(details))


def _candidates(folder: Path, forced: str, gpu: int | None, threads: int) -> list[Candidate]:
    """What to try, in order; a forced engine has no second choice."""
    device = "cpu" if gpu is None else f"cuda:{gpu}"
    why = f"settings ask for {forced}" if forced != "auto" else "no GPU" if gpu is None else f"GPU {gpu} was given"
    torchscript = Candidate(
        "torchscript", lambda: TorchScriptBackend(folder / "model.pt", device=device, threads=threads), why
    )
    onnx = Candidate("onnxruntime", lambda: OnnxBackend(folder / "model.onnx", threads=threads), why)
    if forced != "auto":
        return [torchscript if forced == "torchscript" else onnx]
    return [onnx, torchscript] if gpu is None else [torchscript, onnx]
