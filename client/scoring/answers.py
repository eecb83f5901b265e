"""Answers to the rows of a catalogue: a prediction or an error, and the reading of a row's product.

All engines use this module to read pictures and report faults, so that a row gets the same result from each of them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from client.api.errors import ServerError
from client.api.inference import Product
from client.api.predictions import Prediction
from training.catalog import LIMITS, CatalogFiles, CatalogRow, RowError

RowAnswer = Prediction | ServerError | RowError
Item = TypeVar("Item")


class RowBatch(NamedTuple):
    """Consecutive rows of one chunk that are answered together.

    Args:
        chunk: number of the chunk.
        rows: the rows; some may already have a fault.
        last: the chunk ends with this batch.
    """

    chunk: int
    rows: Sequence[CatalogRow]
    last: bool


@dataclasses.dataclass(frozen=True)
class ReadBatch:
    """The products of a batch, and the faults of the rows without a usable product.

    Args:
        products: products of the rows without a fault, in order.
        faults: one entry for each row of the batch; None for a row without a fault.
    """

    products: Sequence[Product]
    faults: Sequence[RowError | None]

    def merged(self, answers: Sequence[Item]) -> list[Item | RowError]:
        """One entry for each row of the batch: its fault, or else the entry of its product.

        Args:
            answers: one for each of ``products``.
        """
        remaining = iter(answers)
        return [next(remaining) if fault is None else fault for fault in self.faults]


def read_products(rows: Sequence[CatalogRow], files: CatalogFiles) -> ReadBatch:
    """Read the pictures of some rows; one that cannot be read or exceeds the server's limit is a fault."""
    read = [_product(row, files) for row in rows]
    products = [each for each in read if isinstance(each, Product)]
    return ReadBatch(products, [each if isinstance(each, RowError) else None for each in read])


def answer_rows(
    rows: Sequence[CatalogRow],
    files: CatalogFiles,
    ask: Callable[[Sequence[Product]], Sequence[Prediction | ServerError]],
) -> list[RowAnswer]:
    """One answer for each row: its fault, or else the answer of ``ask``, which gets all products at once."""
    request = read_products(rows, files)
    return [*request.merged(ask(request.products) if request.products else [])]


def reason_of(fault: ServerError | RowError) -> tuple[str, str]:
    """The error's stable name and its message for the user."""
    return (fault.type, fault.message) if isinstance(fault, ServerError) else (fault.reason, fault.detail)


def _product(row: CatalogRow, files: CatalogFiles) -> Product | RowError:
    if row.fault is not None:
        return row.fault
    try:
        image = files.read(row.image, limit=LIMITS.max_image_bytes) if row.image else None
    except RowError as error:
        return error
    return Product(image, row.text or None)
