"""What was found out about a row: a prediction, or why there is none; and how rows are made ready to be asked.

Every engine reads pictures and names faults through here, so that a row's fate does not depend on who answers it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from client.api.errors import ServerError
from client.api.inference import Product
from client.api.predictions import Prediction
from training.catalog import LIMITS, CatalogFiles, CatalogRow, RowError

Answer = Prediction | ServerError | RowError


class Batch(NamedTuple):
    """Rows of one chunk, one behind the other, that are asked together.

    Args:
        chunk: number of the chunk.
        rows: some of them may be at fault already.
        last: the chunk ends with them.
    """

    chunk: int
    rows: Sequence[CatalogRow]
    last: bool


@dataclasses.dataclass(frozen=True)
class Request:
    """The rows of a batch that can be asked, and what is known of the others.

    Args:
        products: pictures and titles, in order.
        faults: one entry a row of the batch: None where its product is asked.
    """

    products: Sequence[Product]
    faults: Sequence[RowError | None]

    def merged(self, answers: Sequence[Prediction | ServerError]) -> list[Answer]:
        """One answer a row, from those to ``products``."""
        remaining = iter(answers)
        return [next(remaining) if fault is None else fault for fault in self.faults]


def read_request(rows: Sequence[CatalogRow], files: CatalogFiles) -> Request:
    """Read the pictures of some rows; one that cannot be read, or is longer than a server takes, is a fault."""
    read = [_product(row, files) for row in rows]
    products = [each for each in read if isinstance(each, Product)]
    return Request(products, [each if isinstance(each, RowError) else None for each in read])


def answer_rows(
    rows: Sequence[CatalogRow],
    files: CatalogFiles,
    ask: Callable[[Sequence[Product]], Sequence[Prediction | ServerError]],
) -> list[Answer]:
    """One answer a row: faults as they are, the others asked together."""
    request = read_request(rows, files)
    return request.merged(ask(request.products) if request.products else [])


def reason_of(fault: ServerError | RowError) -> tuple[str, str]:
    """A stable name of what is wrong, and what a person needs to know to mend it."""
    return (fault.type, fault.message) if isinstance(fault, ServerError) else (fault.reason, fault.detail)


def _product(row: CatalogRow, files: CatalogFiles) -> Product | RowError:
    if row.fault is not None:
        return row.fault
    try:
        image = files.read(row.image, limit=LIMITS.max_image_bytes) if row.image else None
    except RowError as error:
        return error
    return Product(image, row.text or None)
