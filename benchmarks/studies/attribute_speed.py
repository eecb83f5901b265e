"""The time that seven attributes cost beside one: the same towers with a wider last layer.

    python -m benchmarks.studies.attribute_speed --rounds 40

Two graphs with the towers of the full recipe and heads of the Kaggle catalogue's sizes, untrained, since a time does
not depend on what the weights are, answer the same drawn products through the handler's own functions, batch by batch
in turns, so that a drift of the machine meets both alike. The ratio is taken within a turn, and ``TARGET`` at most.
"""

import argparse
import dataclasses
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.build import export_graphs
from handlers.product_serving.answer import product_answer
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.preprocessing import Product
from handlers.product_serving.scores import score_products
from handlers.product_serving.settings import Attribute, Hierarchy, ProductSettings
from training.models import MODELS, ProductClassifier, build_head
from training.models.encoders import build_image_encoder, build_text_encoder

TARGET = 1.03
CLASSES = {
    "articleType": 142,
    "subCategory": 45,
    "masterCategory": 7,
    "gender": 5,
    "baseColour": 47,
    "usage": 10,
    "season": 5,
}
CHAIN = ("articleType", "subCategory", "masterCategory")
TITLE_TOKENS = 10
MODEL = {"name": "benchmark", "version": "1.0", "backend": "onnx"}


def main() -> None:
    """Print a line for each batch size: the median ratio, its quartiles, and both median times."""
    options = _parser().parse_args()
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="attributes-") as folder:
        several = _settings(options.model, image_size=options.image_size)
        single = dataclasses.replace(several, attributes=several.attributes[:1], hierarchies=())
        answers = [
            _answerer(settings, Path(folder) / name, threads=threads)
            for name, settings in (("single", single), ("several", several))
        ]
        print(f"{options.model}, {threads} threads; target: a ratio of {TARGET} at most")
        print("batch  ratio  quartiles      single ms  several ms")
        for size in options.batches:
            print(_line(size, _turns(answers, _products(size, several), rounds=options.rounds)), flush=True)


def _settings(model: str, *, image_size: int) -> ProductSettings:
    attributes = (Attribute(name=name, labels=tuple(map(str, range(count)))) for name, count in CLASSES.items())
    places = tuple(tuple(label % CLASSES[name] for name in CHAIN) for label in range(CLASSES[CHAIN[0]]))
    return ProductSettings(
        model=model,
        attributes=tuple(attributes),
        image_size=image_size,
        hierarchies=(Hierarchy(attributes=CHAIN, combinations=places),),
    )


def _answerer(settings: ProductSettings, folder: Path, *, threads: int) -> Callable[[Sequence[Product]], object]:
    """From preprocessed products to the documents that are answered."""
    folder.mkdir()
    image, text = build_image_encoder("efficientnet_lite0", "none"), build_text_encoder("minilm")
    head = build_head(
        settings.model,
        image_width=image.width,
        text_width=text.width,
        sizes=settings.sizes,
    )
    export_graphs(ProductClassifier(image, text, head).eval(), folder, settings)
    engine = OnnxEngine(folder / "model.onnx", threads=threads)
    answer = functools.partial(product_answer, top_k=5, modalities=["image", "text"], model=MODEL, settings=settings)

    def run(products: Sequence[Product]) -> object:
        scores = score_products(engine, products, settings=settings)
        return [answer(row) for row in scores if isinstance(row, np.ndarray)]

    return run


def _products(count: int, settings: ProductSettings) -> list[Product]:
    random, side = np.random.default_rng(0), settings.image_size
    return [
        Product(
            random.integers(0, 256, (3, side, side), dtype=np.uint8),
            random.integers(1000, 20_000, TITLE_TOKENS),
            np.ones(TITLE_TOKENS, dtype=np.int64),
            np.ones(2, dtype=bool),
        )
        for _ in range(count)
    ]


def _turns(
    answers: Sequence[Callable[[Sequence[Product]], object]], products: Sequence[Product], *, rounds: int
) -> list[tuple[float, float]]:
    """Seconds of both in each turn; which one is first alternates, and the first turn warms up."""
    times = []
    for turn in tqdm(range(rounds + 1), desc=f"batches of {len(products)}", leave=False):
        spent = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            began = time.perf_counter()
            answers[which](products)
            spent[which] = time.perf_counter() - began
        times.append((spent[0], spent[1]))
    return times[1:]


def _line(size: int, times: Sequence[tuple[float, float]]) -> str:
    low, middle, high = statistics.quantiles([several / single for single, several in times], n=4)
    single, several = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    return f"{size:5}  {middle:.3f}  {low:.3f}-{high:.3f}  {single:12.2f}  {several:10.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", choices=MODELS, default="intermediate", help="whose head (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=128, help="of the picture, in pixels (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8, 32), help="products answered at once")
    parser.add_argument("--rounds", type=int, default=40, help="turns of each batch size (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
