"""Fast engines round more than the trained model does: a gate on what it costs decides whether an archive may use one.

Measured on the machine that exports, with the run's test products; the figures go into the manifest. That machine need
not have a GPU: half precision is measured on its CPU, in bf16, on the very graph and weights that a GPU then runs. The
GPU adds up in another order; whether that is near enough the golden products say when a worker starts.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from export.verify import Parity
from handlers.backends import Backend, BackendError
from handlers.half_graph import HalfBackend
from handlers.openvino_backend import OpenVinoBackend

MIN_SAME_CLASS = 0.995
MAX_LOSS = 0.003  # of accuracy


def fast_backends(folder: Path, *, threads: int) -> dict[str, Backend]:
    """The fast engines that this machine can run or stand in for, by name.

    Args:
        folder: holds ``model.onnx`` and ``model.pt``.
        threads: for one batch.
    """
    backends: list[Backend] = [HalfBackend(folder / "model.pt")]
    with contextlib.suppress(BackendError):  # no bf16 in this CPU, so nothing can be said of it
        backends.append(OpenVinoBackend(folder / "model.onnx", threads=threads))
    return {backend.name: backend for backend in backends}


def passes(parity: Parity) -> bool:
    """Whether an engine may answer in place of the reference.

    Args:
        parity: with the trained model.
    """
    return parity.same_class >= MIN_SAME_CLASS and parity.accuracy >= parity.eager_accuracy - MAX_LOSS


def record(parity: Parity) -> dict[str, Any]:
    """What the manifest says of a fast engine; JSON-able."""
    allowed = {"min_same_class": MIN_SAME_CLASS, "max_loss": MAX_LOSS}
    return {**dataclasses.asdict(parity), **allowed, "passed": passes(parity)}
