"""Fast engines round more than the trained model does: a gate on what it costs decides whether an archive may use one.

Measured on the machine that exports, with the run's test products; the figures go into the manifest. That machine need
not have a GPU: half precision is measured on its CPU, in bf16, on the very graph and weights that a GPU then runs. The
GPU adds up in another order; whether that is near enough the golden products say when a worker starts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.int8 import export_int8
from export.verify import Parity
from handlers.product_serving.engine import Backend, BackendError
from handlers.product_serving.engines.half import HalfBackend
from handlers.product_serving.engines.int8 import INT8_GRAPH, Int8Backend, require_vnni
from handlers.product_serving.engines.openvino import OpenVinoBackend
from handlers.product_serving.preprocessing import Product

MIN_SAME_CLASS = 0.995
MAX_LOSS = 0.003  # of accuracy, of any attribute


def fast_backends(folder: Path, *, threads: int) -> dict[str, Backend]:
    """The fast engines that this machine can run or stand in for, by name.

    Args:
        folder: holds ``model.onnx``, ``model.pt``, and ``model.int8.onnx`` if int8 is one of them.
        threads: for one batch.
    """
    backends: list[Backend] = [HalfBackend(folder / "model.pt")]
    try:
        backends.append(OpenVinoBackend(folder / "model.onnx", threads=threads))
    except BackendError as error:
        print(f"openvino cannot be verified here, so the archive does without it: {error}", flush=True)
    if (folder / INT8_GRAPH).exists():
        backends.append(Int8Backend(folder, threads=threads))
    return {backend.name: backend for backend in backends}


def add_int8(folder: Path, products: Sequence[Product]) -> None:
    """Write ``model.int8.onnx`` where this machine can verify it.

    Args:
        folder: holds ``model.onnx`` and ``model.pt``.
        products: of the training part.
    """
    try:
        require_vnni()
    except BackendError as error:
        print(f"int8 cannot be verified here, so the archive does without it: {error}", flush=True)
        return
    export_int8(folder, products)


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
