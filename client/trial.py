"""A trial of a new version: both versions answer a sample of real products, and their answers are compared.

Golden products show that a version answers as it was verified. A trial shows what changes for the products at hand: how
often the answer is another one, and how long it takes.
"""

import csv
import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from client.errors import ClientError, ServerError
from client.inference import Product, ProductClient

MIN_AGREEMENT = 0.95
MAX_PRODUCTS = 200
PICTURES = (".jpeg", ".jpg", ".png", ".webp")
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Sample:
    """Products to compare two versions on.

    Args:
        products: at least one.
        min_agreement: share of them, 0..1, that both have to answer alike.
    """

    products: Sequence[Product]
    min_agreement: float = MIN_AGREEMENT


@dataclasses.dataclass(frozen=True)
class Latency:
    """What one version took, in milliseconds as the client sees them."""

    p50: float
    p95: float

    def __str__(self) -> str:
        return f"{self.p50:.0f}/{self.p95:.0f} ms"


@dataclasses.dataclass(frozen=True)
class Trial:
    """How two versions answered the same products.

    Args:
        count: of the products.
        old, new: latency of each version.
        differing: a line for each product that they answered otherwise.
    """

    count: int
    old: Latency
    new: Latency
    differing: tuple[str, ...]

    @property
    def agreement(self) -> float:
        """Share of the products that both answered alike."""
        return 1 - len(self.differing) / self.count

    def examples(self) -> str:
        """A few of the products that were answered otherwise."""
        more = len(self.differing) - _SHOWN
        return "; ".join([*self.differing[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def read_sample(path: Path, *, limit: int = MAX_PRODUCTS) -> list[Product]:
    """Read products: the pictures of a folder, or a CSV with the columns ``image`` and ``text`` or one of them.

    Args:
        path: of the folder or the CSV; pictures are named relative to the CSV.
        limit: how many products, at most; of a larger sample they are taken at even distances.

    Raises:
        ClientError: there is no such thing, no product in it, or a picture is missing.
    """
    products = _read_folder(path) if path.is_dir() else _read_table(path)
    if not products:
        raise ClientError(f"{path} holds no product to compare the versions on")
    step = max(1.0, len(products) / limit)
    return [products[int(row * step)] for row in range(min(limit, len(products)))]


def compare(client: ProductClient, sample: Sequence[Product], *, model: str, old: str, new: str) -> Trial:
    """Ask both versions every product, one after the other; which comes first alternates.

    Args:
        client: of the server.
        sample: at least one product.
        model: registered name.
        old: version to the letter.
        new: version to the letter.

    Raises:
        ClientError: the server does not answer, or a version fails (5xx).
    """
    spent: dict[str, list[float]] = {old: [], new: []}
    differing = []
    for row, product in enumerate(tqdm(sample, desc="comparing", unit="product", leave=False, disable=None)):
        answers = {}
        for version in (old, new) if row % 2 else (new, old):
            began = time.perf_counter()
            answers[version] = _answer(client, product, model=model, version=version)
            spent[version].append(1000 * (time.perf_counter() - began))
        if answers[old] != answers[new]:
            differing.append(f"{_name(product)}: {answers[old]!r}, now {answers[new]!r}")
    return Trial(len(sample), _latency(spent[old]), _latency(spent[new]), tuple(differing))


def _answer(client: ProductClient, product: Product, *, model: str, version: str) -> str:
    """The label, or the type of error: to refuse the same product is to agree."""
    try:
        return client.predict(product.image, product.text, model=model, version=version).label
    except ServerError as error:
        if error.code >= 500:
            raise
        return error.type


def _latency(milliseconds: list[float]) -> Latency:
    ordered = sorted(milliseconds)
    return Latency(statistics.median(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1])


def _name(product: Product) -> str:
    image = [] if product.image is None else [Path(str(product.image)).name]
    return " ".join([*image, *([] if product.text is None else [f'"{product.text}"'])])


def _read_folder(path: Path) -> list[Product]:
    return [Product(image=file) for file in sorted(path.iterdir()) if file.suffix.lower() in PICTURES]


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
        raise ClientError(f"{path}, line {line}: the picture {image} does not exist beside it")
    return Product(None if image is None else path.parent / image, text)
