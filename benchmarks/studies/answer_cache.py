"""Measure the time that the answer cache saves, for several shares of repeated products.

    python -m benchmarks.studies.answer_cache --data fashion.zip --archive model_store/intermediate.mar --rows 256

It runs in process, without a server, and decodes every picture and title each time, with or without the cache. A share
of the products has been answered before. Runs with and without the cache take turns; the best of ``REPEATS`` counts.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.studies.explanations import catalogue_products
from client.scoring.local import LocalEngine
from handlers.product_handler import ProductHandler
from handlers.product_serving.engines.cached import CachedEngine
from handlers.product_serving.engines.engine import Engine
from handlers.product_serving.request import ProductFields

BATCH = 16
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
REPEATS = 3
MIB = 64


def main() -> None:
    """Print the milliseconds a product without and with the cache, for each share of repeated products."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="catalogue")
    parser.add_argument("--archive", type=Path, required=True, help="archive of a model")
    parser.add_argument("--rows", type=int, default=256, help="number of products to read (default: %(default)s)")
    options = parser.parse_args()
    handler = LocalEngine(options.archive).handler
    products = itertools.islice(catalogue_products(options.data), options.rows)
    fields = [ProductFields(image, text, handler.settings.default_top_k) for image, text in products]
    plain = handler.engine
    _milliseconds(handler, plain, fields[:BATCH])  # warm
    print(f"{handler.model['backend']}, {len(fields)} products\n{'share':>6} {'without':>9} {'with':>9}   speed-up")
    for share in tqdm(SHARES, leave=False):
        without, kept = _compare(handler, plain, fields, share)
        print(f"{share:6.0%} {without:6.2f} ms {kept:6.2f} ms {without / kept:9.2f}", flush=True)


def _compare(
    handler: ProductHandler, plain: Engine, fields: Sequence[ProductFields], share: float
) -> tuple[float, float]:
    """Return the milliseconds a product without and with the cache."""
    known = [product for number, product in enumerate(fields) if int((number + 1) * share) > int(number * share)]
    times = []
    for _ in range(REPEATS):
        cached = CachedEngine(plain, mib=MIB, count=lambda hits, misses: None)
        if known:
            _milliseconds(handler, cached, known)
        times.append((_milliseconds(handler, plain, fields), _milliseconds(handler, cached, fields)))
    without, kept = zip(*times, strict=True)
    return min(without), min(kept)


def _milliseconds(handler: ProductHandler, engine: Engine, fields: Sequence[ProductFields]) -> float:
    handler.engine = engine
    began = time.perf_counter()
    for start in range(0, len(fields), BATCH):
        handler.inference(handler.preprocess(fields[start : start + BATCH]))
    return 1000 * (time.perf_counter() - began) / len(fields)


if __name__ == "__main__":
    main()
