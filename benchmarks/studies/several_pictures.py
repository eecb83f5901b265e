"""Measure what answers a product with several pictures best: its first picture, or the mean over all.

    python -m benchmarks.studies.several_pictures --archive model_store/*-1.0.mar --per-class 40

It draws products as ``python -m training sample`` does, each with several pictures that differ in pose, light and
shade, and scores them in process, once with ``--pictures first`` and once with ``mean``. What the pictures show is
drawn in three ways: all show the product; each is with some chance a close-up that other categories share; the first
shows the product and all others are close-ups.
"""

import argparse
import csv
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from client.scoring.local import LocalEngine
from client.scoring.outputs import PARQUET
from client.scoring.run import score_catalog
from client.scoring.several_pictures import PICTURES
from training.catalog import CatalogSource
from training.catalog.drawn import VAGUE_SHARE, draw_product, plan_products

SHOWN: Mapping[str, Callable[[int, np.random.Generator], bool]] = {
    "all show the product": lambda place, random: True,
    "each is a close-up with chance": lambda place, random: random.random() >= VAGUE_SHARE,
    "the first shows it, the others are close-ups": lambda place, random: place == 0,
}


def main() -> None:
    """Print the accuracy of each archive by each way, with ``first`` and with ``mean``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--archive", type=Path, nargs="+", required=True, help="archives of models")
    parser.add_argument("--per-class", type=int, default=40, help="products of each category (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=3, help="of each product (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="another one than the training's (default: %(default)s)")
    options = parser.parse_args()
    print(f"{'pictures':46} {'model':14} {'first %':>8} {'mean %':>8} {'± %':>5}")
    for name, shows in SHOWN.items():
        with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
            labels = write_catalogue(Path(folder), shows, options.per_class, options.pictures, options.seed)
            for archive in options.archive:
                right = {mode: _right(Path(folder), archive, mode, labels) for mode in PICTURES}
                first, mean = (right[mode] for mode in PICTURES)
                error = 100 * np.std(mean.astype(float) - first.astype(float)) / len(labels) ** 0.5
                model = archive.stem.rsplit("-", 1)[0]
                print(
                    f"{name:46} {model:14} {100 * first.mean():8.1f} {100 * mean.mean():8.1f} {error:5.1f}", flush=True
                )


def write_catalogue(
    folder: Path, shows: Callable[[int, np.random.Generator], bool], per_class: int, pictures: int, seed: int
) -> Sequence[str]:
    """Write a catalogue of products with several pictures in one cell; returns their labels.

    Args:
        shows: whether the picture at a place shows the product.
    """
    products = plan_products(per_class=per_class, seed=seed)
    random = np.random.default_rng(seed)
    with (folder / "products.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "text"])
        for number, product in enumerate(products):
            names = [f"{number}-{place}.jpg" for place in range(pictures)]
            for place, name in enumerate(names):
                drawn = dataclasses.replace(product, picture_shows_product=shows(place, random))
                draw_product(drawn, seed=(seed, number, place)).save(folder / name, quality=90)
            rows.writerow(["|".join(names), product.title])
    return [product.category for product in products]


def _right(folder: Path, archive: Path, mode: str, labels: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) True for each product with the right answer."""
    engine = LocalEngine(archive, pictures=mode)
    out = folder / f"{archive.stem}-{mode}"
    source = CatalogSource(path=str(folder / "products.csv"))
    score_catalog(source, out, engine, pictures=mode, log=lambda line: None, progress=False)
    answered = pq.read_table(out / PARQUET, columns=["line", "label"]).to_pydict()
    by_line = dict(zip(answered["line"], answered["label"], strict=True))
    return np.array([by_line.get(line) == label for line, label in enumerate(labels, start=2)])


if __name__ == "__main__":
    main()
