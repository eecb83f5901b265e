"""The accuracy gate: an archive may use a fast engine only if its rounding costs almost no accuracy.

The exporting machine measures the fast engines on the run's test products and writes the figures into the manifest. It
needs no GPU: it measures half precision on its CPU, in bf16, with the graph and weights that a GPU runs later. A GPU
adds in another order, so each worker also checks the golden products when it starts.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.graphs.int8 import export_int8
from export.verify import Forward, Parity
from handlers.product_serving.engines.engine import EngineError
from handlers.product_serving.engines.half_precision import HalfEngine
from handlers.product_serving.engines.int8 import INT8_GRAPH, require_vnni
from handlers.product_serving.engines.onnx import part_files
from handlers.product_serving.engines.table import ENGINES, LoadOptions
from handlers.product_serving.preprocessing import Product

MIN_SAME_CLASS = 0.995
MAX_LOSS = 0.003  # largest loss of accuracy of any attribute


def fast_engines(options: LoadOptions) -> dict[str, Forward]:
    """Load the fast engines that this machine can measure, by name.

    Args:
        options: the folder of the archive to build; int8 is left out if no tower is in int8.
    """
    engines: dict[str, Forward] = {}
    for row in ENGINES:
        if row.gate != row.name or (row.name == "int8" and not part_files(options.folder / INT8_GRAPH)):
            continue
        try:
            engines[row.name] = HalfEngine(options.folder / "model.pt") if row.device == "gpu" else row.build(options)
        except EngineError as error:
            _print_unverified(row.name, error)
    return engines


def add_int8(folder: Path, products: Sequence[Product]) -> None:
    """Write the towers in int8 if this machine can verify them.

    Args:
        folder: holds ``model.onnx`` and ``model.pt``.
        products: of the training part.
    """
    try:
        require_vnni()
    except EngineError as error:
        _print_unverified("int8", error)
        return
    export_int8(folder, products)


def passes_gate(parity: Parity) -> bool:
    """Return True if an engine may answer in place of the reference.

    Args:
        parity: comparison of the engine with the trained model.
    """
    losses = [each["eager_accuracy"] - each["accuracy"] for each in parity.attributes.values()]
    return parity.same_class >= MIN_SAME_CLASS and max(losses) <= MAX_LOSS


def gate_figures(parity: Parity) -> dict[str, Any]:
    """Return the manifest's entry for a fast engine, ready for JSON."""
    allowed = {"min_same_class": MIN_SAME_CLASS, "max_loss": MAX_LOSS}
    return {**dataclasses.asdict(parity), **allowed, "passed": passes_gate(parity)}


def _print_unverified(name: str, error: EngineError) -> None:
    print(f"{name} cannot be verified here and is left out of the archive: {error}", flush=True)
