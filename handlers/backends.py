"""TorchScript and ONNX Runtime behind one call, and the choice between them with its reason.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, C classes.
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
_NOTHING = np.empty(0, dtype=np.float32)


class Arrays(Protocol):
    """A batch of arrays by the graph's input names; what :func:`preprocessing.collate` makes."""

    def _asdict(self) -> dict[str, Any]: ...


class Parts(Protocol):
    """A graph in its three parts, so that an explanation can change what lies between them.

    A part that the graph has not, the picture's tower in a model of titles, answers an empty array.
    """

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, 3, H, W) -> (B, N, D), the picture's cells row by row."""

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """(B, T), (B, T) -> (B, T, D)."""

    def classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Features, mask and (B, 2) -> logits (B, C)."""


class Backend(Protocol):
    """Something that runs a graph.

    Args:
        name: engine and device, as answered.
    """

    name: str

    def __call__(self, batch: Arrays) -> NDArray[np.float32]: ...

    def parts(self) -> Parts:
        """The same graph in parts, loaded when this is called: what explains nothing does not pay for it."""


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
        return self._run(self._graph, *batch._asdict().values())

    def parts(self) -> Parts:
        """The methods that :func:`export.torchscript.export_torchscript` traced beside ``forward``; no second copy."""
        return _TorchScriptParts(self._graph, self._run)

    def _run(self, method: Callable[..., Any], *arrays: NDArray[Any]) -> NDArray[np.float32]:
        with self._torch.inference_mode(), self._full_precision():
            tensors = [self._torch.from_numpy(array).to(self._device) for array in arrays]
            answer: NDArray[np.float32] = method(*tensors).float().cpu().numpy()
        return answer

    def _full_precision(self) -> contextlib.AbstractContextManager[None]:
        """No TF32 in convolutions, torch's default on a GPU: its 10-bit mantissa would fail the golden products."""
        if self._device.type == "cpu":
            return contextlib.nullcontext()
        full: contextlib.AbstractContextManager[None] = self._torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return full


class _TorchScriptParts:
    """Methods of one traced graph."""

    def __init__(self, graph: Any, run: Callable[..., NDArray[np.float32]]) -> None:
        self._graph, self._run = graph, run

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._run(self._graph.cells, image) if hasattr(self._graph, "cells") else _NOTHING

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._run(self._graph.tokens, input_ids, attention_mask) if hasattr(self._graph, "tokens") else _NOTHING

    def classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        return self._run(self._graph.classify, cells, tokens, attention_mask, present)


class OnnxBackend:
    """``model.onnx`` on ONNX Runtime's CPU provider.

    Args:
        path: the exported graph.
        threads: intra-op threads.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        self._path, self._threads = path, threads
        self._session = _session(str(path), threads)
        self._inputs = [value.name for value in self._session.get_inputs()]
        self.name = "onnxruntime:cpu"

    def __call__(self, batch: Arrays) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        arrays = batch._asdict()
        logits: NDArray[np.float32] = self._session.run(None, {name: arrays[name] for name in self._inputs})[0]
        return logits

    def parts(self) -> Parts:
        """The verified graph, cut at its towers' outputs; the parts hold the weights a second time in memory."""
        return _OnnxParts(self._path, threads=self._threads)


class _OnnxParts:
    """The subgraphs of ``model.onnx`` before and behind the values ``cells`` and ``tokens``, a session each.

    ONNX Runtime computes all of a graph whatever outputs are asked for, and a title's tower has to run without the
    picture's: a word is left out some ten times.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        import onnx  # noqa: PLC0415 - only explanations need it
        from onnx.utils import Extractor  # noqa: PLC0415

        model = onnx.load(str(path))
        extractor = Extractor(model)
        features = [name for node in model.graph.node for name in node.output if name in ("cells", "tokens")]
        inputs = [value.name for value in model.graph.input]

        def cut(sources: list[str], target: str) -> Any:
            names = [name for name in sources if name in (*features, *inputs)]
            part = extractor.extract_model(names, [target])
            for node in part.graph.node:
                # The exporter reads the batch's size off one input for the whole graph; every input of a part has it.
                if node.op_type == "Shape" and node.input[0] in set(inputs) - set(names):
                    node.input[0] = names[0]
            return _session(part.SerializeToString(), threads)

        self._image = cut(["image"], "cells") if "cells" in features else None
        self._text = cut(["input_ids", "attention_mask"], "tokens") if "tokens" in features else None
        self._head = cut([*features, "attention_mask", "present"], "logits")

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _run_session(self._image, image=image)

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return _run_session(self._text, input_ids=input_ids, attention_mask=attention_mask)

    def classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        return _run_session(self._head, cells=cells, tokens=tokens, attention_mask=attention_mask, present=present)


def _session(source: str | bytes, threads: int) -> Any:
    """A session for a graph's path or its bytes."""
    import onnxruntime  # noqa: PLC0415 - the TorchScript path does not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads take the cores from the other workers and from the front end while they wait.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _run_session(session: Any, **arrays: NDArray[Any]) -> NDArray[np.float32]:
    if session is None:
        return _NOTHING
    answer: NDArray[np.float32] = session.run(None, {value.name: arrays[value.name] for value in session.get_inputs()})[
        0
    ]
    return answer


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
