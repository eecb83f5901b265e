"""Reads a sample of real products from a folder of pictures or a CSV."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from client.api.errors import ClientError
from client.api.inference import Product

MIN_AGREEMENT = 0.95
MAX_PRODUCTS = 200
PICTURES = (".jpeg", ".jpg", ".png", ".webp")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Products on which two versions are compared.

    Args:
        products: at least one.
        min_agreement: share of equal answers that is required, 0..1.
    """

    products: Sequence[Product]
    min_agreement: float = MIN_AGREEMENT


def read_sample(path: Path, *, limit: int = MAX_PRODUCTS) -> list[Product]:
    """Read products: the pictures of a folder, or a CSV with the columns ``image`` and ``text`` or one of them.

    Args:
        path: folder or CSV; picture paths in the CSV are relative to it.
        limit: most products to return; from more, evenly spaced ones are chosen.

    Raises:
        ClientError: the path cannot be read, contains no product, or a picture is missing.
    """
    if path.is_dir():
        products = [Product(image=file) for file in sorted(path.iterdir()) if file.suffix.lower() in PICTURES]
    else:
        products = _read_table(path)
    if not products:
        raise ClientError(f"{path} contains no products")
    step = max(1.0, len(products) / limit)
    return [products[int(row * step)] for row in range(min(limit, len(products)))]


def _read_table(path: Path) -> list[Product]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ClientError(f"{path} cannot be read as a CSV or a folder of pictures ({error})") from error
    if rows and not {"image", "text"} & rows[0].keys():
        raise ClientError(f"{path} needs a column image, text or both; it has: {', '.join(map(str, rows[0]))}")
    products = [_product(path, line, row) for line, row in enumerate(rows, 2)]
    return [product for product in products if product != Product()]


def _product(path: Path, line: int, row: dict[str, str]) -> Product:
    image, text = row.get("image") or None, row.get("text") or None
    if image is not None and not (path.parent / image).is_file():
        raise ClientError(f"{path}, line {line}: the picture {image} does not exist")
    return Product(None if image is None else path.parent / image, text)
