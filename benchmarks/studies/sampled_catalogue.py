"""Products of a catalogue as a CSV beside its pictures, as a user would have it, some labels wrong on purpose."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from training.catalog import CatalogRow, CatalogSource, RowError, open_files, open_rows
from training.data.label_noise import damage_labels

LABEL = "label"


class Sampled(NamedTuple):
    """Products with pictures in a folder.

    Args:
        folder: of the tables.
        rows: the products.
    """

    folder: Path
    rows: Sequence[CatalogRow]


def sample_products(
    source: CatalogSource, folder: Path, *, count: int | None, min_class: int = 0, seed: int = 0
) -> Sampled:
    """Take products out of a catalogue, with their pictures as they are.

    Args:
        source: with labels, where classes count.
        folder: gets ``images/``.
        count: how many to draw; None takes all.
        min_class: products of a class, below which it is left out.
        seed: of the draw.
    """
    files = open_files(source.path)
    with open_rows(source, files, labelled=source.label_column is not None) as (_, read):
        rows = [row for row in read if row.fault is None]
    sizes = Counter(row.label for row in rows)
    rows = [row for row in rows if sizes[row.label] >= min_class]
    if count is not None and count < len(rows):
        rows = [rows[place] for place in np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    sampled = []
    for row in tqdm(rows, desc="pictures", unit="product", disable=None):
        name = f"images/{row.line}{Path(row.image).suffix}" if row.image else ""
        try:
            if name and not (folder / name).exists():
                (folder / name).write_bytes(files.read(row.image))
        except RowError:
            continue
        sampled.append(row._replace(image=name))
    return Sampled(folder, sampled)


def write_table(sampled: Sampled, path: Path, *, labels: Sequence[str] | None = None) -> Path:
    """The products as a CSV; labels of their own unless others are given."""
    labels = [row.label for row in sampled.rows] if labels is None else labels
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text", LABEL])
        writer.writerows([row.id, row.image, row.text, label] for row, label in zip(sampled.rows, labels, strict=True))
    return path


def write_damaged(sampled: Sampled, *, share: float, seed: int) -> tuple[Path, frozenset[str]]:
    """A table of the products, some of them with another label, drawn evenly from all the others there are.

    Args:
        sampled: the products.
        share: of them to damage, 0..1.
        seed: of the damage.

    Returns:
        The CSV, and the ids of the products whose label is wrong.
    """
    labels = damage_labels([row.label for row in sampled.rows], share=share, seed=seed).tolist()
    path = write_table(sampled, sampled.folder / f"damaged-{round(100 * share):02d}-{seed}.csv", labels=labels)
    pairs = zip(sampled.rows, labels, strict=True)
    return path, frozenset(row.id for row, label in pairs if row.label != label)
