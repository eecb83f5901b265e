"""Is NNCF's int8 on OpenVINO better than today's int8 on ONNX Runtime, or than bf16? Speed and answers, in one run.

    python -m benchmarks.studies.int8_engines model_store/intermediate-1.0.mar --run runs/fashion

The archive must hold towers in int8 (``model.int8.cells.onnx``). NNCF is not among this project's packages: install it
into the environment first (``pip install nncf``). It quantises both towers after training: symmetric weights, uint8
activations with constant scales, on the same training products as ours. The engines take turns (A B C C B A). Run it on
an idle machine.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.server.report.machine import describe_machine
from export.run_products import read_run_products
from handlers.product_serving.engines.engine import Batch, Parts
from handlers.product_serving.engines.int8 import Int8Engine
from handlers.product_serving.engines.onnx import ARGUMENTS, OnnxEngine, part_files
from handlers.product_serving.engines.openvino import OpenVinoEngine
from handlers.product_serving.engines.towers import TowerEngine, Towers
from handlers.product_serving.preprocessing import Product, ProductPreprocessor, collate
from handlers.product_serving.resources import usable_cores
from handlers.product_serving.settings import ProductSettings

SIZES = (1, 8, 16)
SECONDS = 3.0
ROUNDS = 3
CALIBRATED = 200
TOWERS = {"cells": None, "tokens": "TRANSFORMER"}  # part -> NNCF's type of model


class NncfEngine(TowerEngine):
    """Both towers as NNCF quantises them, on OpenVINO; letters and head as in the engine ``openvino``.

    Args:
        path: ``model.onnx``, with its parts.
        products: to calibrate on.
        threads: of a batch.
    """

    tolerance = 0.1

    def __init__(self, path: Path, products: Sequence[Product], *, threads: int) -> None:
        import nncf  # noqa: PLC0415 - only this study needs it
        import openvino  # noqa: PLC0415

        core, files = openvino.Core(), part_files(path)
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}

        def part(name: str) -> Callable[..., Any]:
            model = core.read_model(str(files[name]))
            if name in TOWERS:
                kind = TOWERS[name] and nncf.ModelType[TOWERS[name]]
                batches = [collate([product])._asdict() for product in products]
                data = nncf.Dataset([[batch[argument] for argument in ARGUMENTS[name]] for batch in batches])
                model = nncf.quantize(model, data, subset_size=len(products), model_type=kind)
            compiled = core.compile_model(model, "CPU", options)
            read = {value.any_name for value in compiled.inputs}

            def run(*arrays: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
                given = {key: array for key, array in zip(ARGUMENTS[name], arrays, strict=True) if key in read}
                return tuple(value.copy() for value in compiled(given).values())

            return run

        cells, tokens, lexical = (_first(part(name)) for name in ("cells", "tokens", "lexical"))
        self._towers = Towers(Parts(cells, tokens, lexical, part("classify")))

    def parts(self) -> Parts:
        raise NotImplementedError


def _first(run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arrays: run(*arrays)[0]


def measure(engines: Mapping[str, TowerEngine], products: Sequence[Product]) -> dict[str, Any]:
    """Milliseconds a product by batch size, and the share of answers with the reference's class.

    Args:
        engines: by name; the first one is the reference.
        products: of the test part.
    """
    batches = {size: [collate(products[at : at + size]) for at in range(0, len(products), size)] for size in SIZES}
    times: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in engines}
    for number in range(ROUNDS):
        for name in list(engines)[:: -1 if number % 2 else 1]:
            for size in SIZES:
                times[name][size].append(1000 * _seconds(engines[name], batches[size]) / size)
    labels = {
        name: np.concatenate([engine(batch).argmax(1) for batch in batches[8]]) for name, engine in engines.items()
    }
    reference = next(iter(labels.values()))
    return {
        name: {
            "ms": {size: {"median": statistics.median(found), "rounds": found} for size, found in times[name].items()},
            "same_class": float((labels[name] == reference).mean()),
        }
        for name in engines
    }


def _seconds(engine: TowerEngine, batches: Sequence[Batch]) -> float:
    """Mean seconds of a batch."""
    engine(batches[0])
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        engine(batches[count % (len(batches) - 1 or 1)])
        count += 1
    return (time.perf_counter() - began) / count


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--products", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with zipfile.ZipFile(options.archive) as content:
            content.extractall(folder)
        settings = ProductSettings.from_json(folder / "settings.json")
        preprocessor = ProductPreprocessor(settings, folder / "tokenizer.json")
        test, train = (
            [preprocessor(*pair) for pair in read_run_products(options.run, limit=count, part=part).pairs()]
            for part, count in (("test", options.products), ("train", CALIBRATED))
        )
        path, threads = folder / "model.onnx", usable_cores()
        engines: dict[str, TowerEngine] = {
            "onnx": OnnxEngine(path, threads=threads),
            "int8": Int8Engine(folder, threads=threads),
            "openvino": OpenVinoEngine(path, threads=threads),
            "openvino int8 (NNCF)": NncfEngine(path, train, threads=threads),
        }
        report = {"machine": describe_machine(Path(sys.executable)), "engines": measure(engines, test)}
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
