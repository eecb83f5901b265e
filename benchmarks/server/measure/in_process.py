"""Measure the pipeline and the engine without a server, in a separate process.

    python -m benchmarks.server.measure.in_process ARCHIVE SECONDS WORKERS KIND=BODIES...

It prints the figures of :func:`measure` as JSON. Batch times are measured with the first kind.
"""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.server.load.bodies import read_bodies
from benchmarks.server.peers.archive_handler import ArchiveHandler
from benchmarks.server.systems.process_usage import own_peak
from benchmarks.server.systems.torchserve_config import ROOT
from client.api.errors import ClientError
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.engines.onnx import OnnxGraph
from handlers.product_serving.errors import ProductError
from handlers.product_serving.preprocessing import Product, collate
from handlers.product_serving.request import read_request
from handlers.product_serving.resources import usable_cores

ENGINE_SIZES = (1, 8, 16, 32)
BATCH_SIZES = (1, 2, 4, 8, 12, 16)
CAP = 16
WARM_CALLS = 3
T = TypeVar("T")


def measure(archive: Path, seconds: float, bodies: dict[str, Path], *, workers: int) -> dict[str, Any]:
    """Run the measurement in a separate process.

    Args:
        archive: archive with our handler.
        seconds: seconds for each batch size and each kind.
        bodies: kind of request -> file of bodies.
        workers: number of workers that share the cores.

    Returns:
        engine: name of the engine that the archive chose.
        reason: reason of that choice.
        cap: batch size of ``rates``.
        rates: kind of request -> products a second from raw bytes to JSON, on all cores.
        batch_seconds: batch size -> seconds of each batch from raw bytes to JSON, on the cores of one worker.
        engine_rates: batch size -> products a second of the engine alone.
        reference_rate: products a second of the engine ``onnx`` with batches of ``cap`` and titles padded to the
            maximum length.
        tokens: mean number of tokens of a title.
        peak_bytes: peak resident memory of that process with one worker's model.

    Raises:
        ClientError: the measurement failed.
    """
    pairs = [f"{kind}={path}" for kind, path in bodies.items()]
    module = ["-m", "benchmarks.server.measure.in_process"]
    command = [sys.executable, *module, str(archive), str(seconds), str(workers), *pairs]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClientError(f"the pipeline also fails without a server: {result.stderr[-1000:]}")
    figures: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return figures


class _Bench:
    def __init__(self, archive: Path, seconds: float, workers: int, bodies: dict[str, Path]) -> None:
        self._archive, self._seconds = archive, seconds
        self._one_worker = ArchiveHandler(archive, workers=workers)
        self._bodies = {kind: [body.content for body in read_bodies(path)] for kind, path in bodies.items()}

    def run(self) -> dict[str, Any]:
        main = next(iter(self._bodies))
        batch_seconds = {size: self._times(self._one_worker, _slices(self._bodies[main], size)) for size in BATCH_SIZES}
        peak = own_peak()
        products = self._products(main)
        every_core = ArchiveHandler(self._archive)
        handler = every_core.handler
        rates = {kind: CAP / statistics.mean(self._times(every_core, _slices(bodies, CAP)))
                 for kind, bodies in self._bodies.items()}  # fmt: skip
        return {
            "engine": handler.model["backend"],
            "reason": handler.model["backend_reason"],
            "cap": CAP,
            "rates": rates,
            "batch_seconds": batch_seconds,
            "engine_rates": {size: self._engine_rate(handler.engine, products, size) for size in ENGINE_SIZES},
            "reference_rate": self._reference(products, handler.settings.max_tokens),
            "tokens": statistics.mean(len(product.input_ids) for product in products),
            "peak_bytes": peak,
        }

    def _products(self, kind: str) -> list[Product]:
        handler = self._one_worker.handler
        requests = [read_request({"body": body}, "application/json", handler.settings) for body in self._bodies[kind]]
        prepared = handler.preprocess([item for request in requests for item in request.items])
        if broken := [product for product in prepared if isinstance(product, ProductError)]:
            raise broken[0]
        return [product for product in prepared if isinstance(product, Product)]

    def _engine_rate(
        self, engine: Callable[[Batch], object], products: Sequence[Product], size: int, *, tokens: int = 0
    ) -> float:
        batches = (_padded(collate(chosen), tokens) for chosen in _slices(products, size))
        held = list(itertools.islice(batches, max(1, len(products) // size)))
        return size / statistics.mean(self._times(engine, itertools.cycle(held)))

    def _reference(self, products: Sequence[Product], tokens: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(self._archive) as content:
                content.extractall(folder, ["model.onnx", "model.pt"])
            engine = OnnxGraph(Path(folder) / "model.onnx", threads=usable_cores())
            return self._engine_rate(engine, products, CAP, tokens=tokens)

    def _times(self, call: Callable[[T], object], values: Iterator[T]) -> list[float]:
        for value in itertools.islice(values, WARM_CALLS):
            call(value)
        times: list[float] = []
        end = time.perf_counter() + self._seconds
        while (began := time.perf_counter()) < end or not times:
            call(next(values))
            times.append(time.perf_counter() - began)
        return times


def _slices(values: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield batches without end; each goes on where the previous one stopped."""
    endless = itertools.cycle(values)
    while True:
        yield list(itertools.islice(endless, size))


def _padded(batch: Batch, tokens: int) -> Batch:
    """Pad the titles to at least ``tokens`` tokens."""
    missing = (0, 0), (0, max(0, tokens - batch.input_ids.shape[1]))
    ids, mask = np.pad(batch.input_ids, missing), np.pad(batch.attention_mask, missing)
    return batch._replace(input_ids=ids, attention_mask=mask)


def main() -> None:
    """Measure and print the figures as JSON."""
    archive, seconds, workers, *pairs = sys.argv[1:]
    bodies = {kind: Path(path) for kind, path in (pair.split("=", 1) for pair in pairs)}
    print(json.dumps(_Bench(Path(archive), float(seconds), int(workers), bodies).run()))


if __name__ == "__main__":
    main()
