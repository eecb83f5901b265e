"""Compares the answers of two versions to the same real products.

Golden products show that a version answers as expected. The comparison shows how often the new version changes the
answer to other products, and how long both versions take.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from client.api.errors import ServerError
from client.api.inference import Product, ProductClient

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Latency:
    """Response times of one version, in milliseconds, measured by the client."""

    p50: float
    p95: float

    def __str__(self) -> str:
        return f"{self.p50:.0f}/{self.p95:.0f} ms"


@dataclasses.dataclass(frozen=True)
class VersionComparison:
    """The answers of two versions to the same products.

    Args:
        count: number of products.
        old, new: latency of each version.
        differing: a line for each product with different answers.
    """

    count: int
    old: Latency
    new: Latency
    differing: tuple[str, ...]

    @property
    def agreement(self) -> float:
        """Share of products with equal answers, 0..1."""
        return 1 - len(self.differing) / self.count

    def examples(self) -> str:
        """A few of the products with different answers."""
        more = len(self.differing) - _SHOWN
        return "; ".join([*self.differing[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def compare_versions(
    client: ProductClient, sample: Sequence[Product], *, model: str, old: str, new: str
) -> VersionComparison:
    """Ask both versions about every product, in an order that alternates.

    Args:
        client: client of the server.
        sample: at least one product.
        model: registered name.
        old: exact version.
        new: exact version.

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
    return VersionComparison(len(sample), _latency(spent[old]), _latency(spent[new]), tuple(differing))


def _answer(client: ProductClient, product: Product, *, model: str, version: str) -> str:
    """The label, or the type of the error: two versions that refuse a product for the same reason agree."""
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
