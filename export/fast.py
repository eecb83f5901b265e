"""Fast engines round more than the trained model does: an archive may use one if it passes the accuracy gate.

The exporting machine measures them on the run's test products, and the figures go into the manifest. It needs no GPU:
it measures half precision on its CPU, in bf16, with the graph and weights that a GPU then runs. A GPU adds up in
another order; when a worker starts, the golden products show whether that is near enough.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.int8 import export_int8
from export.verify import Parity
from handlers.product_serving.engines.engine import Engine, EngineError
from handlers.product_serving.engines.half import HalfEngine
from handlers.product_serving.engines.int8 import INT8_GRAPH, require_vnni
from handlers.product_serving.engines.table import ENGINES, EngineRow, Site
from handlers.product_serving.preprocessing import Product

MIN_SAME_CLASS = 0.995
MAX_LOSS = 0.003  # of accuracy, of any attribute


def fast_engines(site: Site) -> dict[str, Engine]:
    """The fast engines that this machine can run or stand in for, by name.

    Args:
        site: an archive in the making; without ``model.int8.onnx`` int8 is none of them.
    """
    measured = [row for row in ENGINES if row.gate == row.name]
    if not (site.folder / INT8_GRAPH).exists():
        measured = [row for row in measured if row.name != "int8"]
    engines = {row.name: _measurable(row, site) for row in measured}
    return {name: engine for name, engine in engines.items() if engine is not None}


def _measurable(row: EngineRow, site: Site) -> Engine | None:
    if row.device == "gpu":
        return HalfEngine(site.folder / "model.pt")
    try:
        return row.build(site)
    except EngineError as error:
        _say_unverified(row.name, error)
        return None


def add_int8(folder: Path, products: Sequence[Product]) -> None:
    """Write ``model.int8.onnx`` where this machine can verify it.

    Args:
        folder: holds ``model.onnx`` and ``model.pt``.
        products: of the training part.
    """
    try:
        require_vnni()
    except EngineError as error:
        _say_unverified("int8", error)
        return
    export_int8(folder, products)


def passes(parity: Parity) -> bool:
    """Whether an engine may answer in place of the reference.

    Args:
        parity: with the trained model.
    """
    losses = [each["eager_accuracy"] - each["accuracy"] for each in parity.attributes.values()]
    return parity.same_class >= MIN_SAME_CLASS and max(losses) <= MAX_LOSS


def record(parity: Parity) -> dict[str, Any]:
    """The manifest's entry for a fast engine; JSON-able."""
    allowed = {"min_same_class": MIN_SAME_CLASS, "max_loss": MAX_LOSS}
    return {**dataclasses.asdict(parity), **allowed, "passed": passes(parity)}


def _say_unverified(name: str, error: EngineError) -> None:
    print(f"{name} cannot be verified here, so the archive does without it: {error}", flush=True)
