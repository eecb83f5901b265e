"""Copies of catalogue products: a CSV beside the pictures, as a user would have it, with damaged labels if wanted."""

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
        folder: folder of the CSV files.
        rows: the products.
    """

    folder: Path
    rows: Sequence[CatalogRow]


def sample_products(source: CatalogSource, folder: Path, *, count: int | None, min_class: int = 0) -> Sampled:
    """Copy products out of a catalogue, with unchanged pictures.

    Args:
        source: the catalogue; ``min_class`` needs its labels.
        folder: output folder; the pictures go to ``images/``.
        count: number of products to draw; None takes all.
        min_class: leave out classes with fewer products.
    """
    files = open_files(source.path)
    with open_rows(source, files, labelled=source.label_column is not None) as (_, read):
        rows = [row for row in read if row.fault is None]
    sizes = Counter(row.label for row in rows)
    rows = [row for row in rows if sizes[row.label] >= min_class]
    if count is not None and count < len(rows):
        rows = [rows[place] for place in np.sort(np.random.default_rng(0).permutation(len(rows))[:count])]
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
    """Write the products as a CSV, with their own labels unless ``labels`` is given."""
    labels = [row.label for row in sampled.rows] if labels is None else labels
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text", LABEL])
        writer.writerows([row.id, row.image, row.text, label] for row, label in zip(sampled.rows, labels, strict=True))
    return path


def write_damaged(sampled: Sampled, *, share: float, seed: int) -> tuple[Path, frozenset[str]]:
    """Write the products as a CSV in which some have a wrong label, drawn uniformly from the other labels.

    Args:
        sampled: the products.
        share: share of the labels to damage, 0..1.
        seed: of the damage.

    Returns:
        The path of the CSV, and the ids of the products with a damaged label.
    """
    labels = damage_labels([row.label for row in sampled.rows], share=share, seed=seed).tolist()
    path = write_table(sampled, sampled.folder / f"damaged-{round(100 * share):02d}-{seed}.csv", labels=labels)
    pairs = zip(sampled.rows, labels, strict=True)
    return path, frozenset(row.id for row, label in pairs if row.label != label)
