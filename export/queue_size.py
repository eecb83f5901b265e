"""How many requests may wait for a model, from its measured speed."""

import functools
import itertools
import timeit
from collections.abc import Sequence
from pathlib import Path

from handlers.product_serving.archive import GoldenProduct
from handlers.product_serving.engines.engine import Engine
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.preprocessing import ProductPreprocessor, collate
from handlers.product_serving.resources import usable_cores

BATCH = 16  # products that a worker answers together
# A queue counts requests, but those who wait count time: 100 requests are 33 ms of a model that answers 3,000 a second,
# and a pause that long turns requests away. The upper bound is memory: TorchServe holds what waits.
QUEUE_SECONDS, QUEUE_LEAST, QUEUE_MOST = 2.0, 200, 1000
_TRIES = 3


def products_a_second(graph: Path, preprocessor: ProductPreprocessor, products: Sequence[GoldenProduct]) -> float:
    """How many products this machine answers with an ONNX graph, in batches; the best of some."""
    batch = list(itertools.islice(itertools.cycle(products), BATCH))
    engine = OnnxEngine(graph, threads=usable_cores())
    call = functools.partial(_answer, engine, preprocessor, batch)
    return BATCH / min(timeit.repeat(call, number=1, repeat=_TRIES))


def queue_size(speed: float) -> int:
    """Requests that may wait for a model of this speed (products a second), in hundreds."""
    return min(QUEUE_MOST, max(QUEUE_LEAST, 100 * round(QUEUE_SECONDS * speed / 100)))


def _answer(engine: Engine, preprocessor: ProductPreprocessor, products: Sequence[GoldenProduct]) -> None:
    engine(collate([preprocessor(product.image, product.text) for product in products]))
