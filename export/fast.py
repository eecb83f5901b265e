"""Fast engines round more than the trained model does: a gate on what it costs decides whether an archive may use one.

Measured on the machine that exports, with the run's test products; the figures go into the manifest.
"""

from pathlib import Path
from typing import Any

from export.verify import Parity
from handlers.backends import Backend, BackendError
from handlers.openvino_backend import OpenVinoBackend

MIN_SAME_CLASS = 0.995
MAX_LOSS = 0.003  # of accuracy, of any attribute


def fast_backends(folder: Path, *, threads: int) -> dict[str, Backend]:
    """The fast engines that this machine can run, by name.

    Args:
        folder: holds ``model.onnx``.
        threads: for one batch.
    """
    try:
        backend = OpenVinoBackend(folder / "model.onnx", threads=threads)
    except BackendError:  # no bf16 here, so nothing can be said of it
        return {}
    return {backend.name: backend}


def passes(parity: Parity) -> bool:
    """Whether an engine may answer in place of the reference.

    Args:
        parity: with the trained model.
    """
    losses = [parity.eager_accuracy - parity.accuracy]
    losses += [each["eager_accuracy"] - each["accuracy"] for each in parity.attributes.values()]
    return parity.same_class >= MIN_SAME_CLASS and max(losses) <= MAX_LOSS


def record(parity: Parity) -> dict[str, Any]:
    """What the manifest says of a fast engine; JSON-able."""
    allowed = {"min_same_class": MIN_SAME_CLASS, "max_loss": MAX_LOSS}
    return {**parity.figures(), **allowed, "passed": passes(parity)}
