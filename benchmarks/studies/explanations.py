"""Measure the cost of an explanation in forward passes of one product.

    python -m benchmarks.studies.explanations --data fashion.zip --archive model_store/*-1.0.mar --rows 50

It runs in process, without a server. Each product is answered and then explained, so that a drift of the machine
changes both alike. The ratios are those of one product. ``answers``: time of an explanation divided by the time of an
answer, both with decoding. ``passes``: additional time of the explanation divided by the time of the engine's
forward pass.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from client.scoring.local import load_handler
from handlers.product_handler import ProductHandler
from handlers.product_serving.preprocessing import Product, collate
from handlers.product_serving.request import ProductFields
from training.catalog import CatalogSource, open_files, open_rows

WARM_UP = 3


def main() -> None:
    """Print for each archive the median and the 95th percentile of both ratios, and the median times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="catalogue")
    parser.add_argument("--archive", type=Path, nargs="+", required=True, help="archives of models")
    parser.add_argument("--rows", type=int, default=50, help="number of products to read (default: %(default)s)")
    options = parser.parse_args()
    print(f"{'':28} answers   p95  passes   p95   pass ms  answer ms  explained ms")
    products = list(itertools.islice(catalogue_products(options.data), options.rows + WARM_UP))
    for archive in options.archive:
        with tempfile.TemporaryDirectory(prefix="archive-") as folder:
            handler = load_handler(archive, Path(folder))
            times = list(_times(handler, products))
        print(_line(f"{archive.stem} {handler.model['backend']}", times[WARM_UP:]), flush=True)


def catalogue_products(data: Path) -> Iterator[tuple[bytes, str]]:
    """Yield the picture and the title of each product that has both."""
    files = open_files(data)
    with open_rows(CatalogSource(path=str(data)), files, labelled=False) as (_, rows):
        for row in rows:
            if row.fault is None and row.image and row.text:
                yield files.read(row.image), row.text


def _times(handler: ProductHandler, products: list[tuple[bytes, str]]) -> Iterator[tuple[float, float, float]]:
    """Yield the seconds of each product's forward pass, answer and explained answer."""
    for image, text in tqdm(products, unit="product", leave=False):
        fields = [ProductFields(image, text, handler.settings.default_top_k)]
        [product] = handler.preprocess(fields)
        assert isinstance(product, Product)
        yield (
            _seconds(handler.engine, collate([product])),
            _seconds(_answer, handler, fields, False),
            _seconds(_answer, handler, fields, True),
        )


def _answer(handler: ProductHandler, fields: list[ProductFields], why: bool) -> None:
    products = handler.preprocess(fields)
    handler.explain(fields, products, handler.inference(products), [why])


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def _line(name: str, times: list[tuple[float, float, float]]) -> str:
    answers = [explained / answered for _, answered, explained in times]
    passes = [(explained - answered) / forward for forward, answered, explained in times]
    middle = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    ratios = [statistics.median(answers), _high(answers), statistics.median(passes), _high(passes)]
    return f"{name:28}" + "".join(f"{value:8.1f}" for value in ratios) + "".join(f"{value:10.1f}" for value in middle)


def _high(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


if __name__ == "__main__":
    main()
