"""Products with several pictures: the answer is the mean of the probabilities over all pictures that can be read."""

import dataclasses
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np

from handlers.product_serving.errors import ProductError
from handlers.product_serving.scores import Scored
from training.catalog import CatalogRow

FIRST: Final = "first"
MEAN: Final = "mean"
PICTURES: Final = (FIRST, MEAN)
# More change an answer hardly, and each costs as much as a product.
MOST_PICTURES = 16
Item = TypeVar("Item")
Scores = Scored | ProductError


@dataclasses.dataclass(frozen=True)
class PictureRows:
    """The rows of a batch, one for each picture.

    Args:
        rows: R rows with one picture at most.
        counts: number of those rows for each of the N products, at least 1.
    """

    rows: Sequence[CatalogRow]
    counts: Sequence[int]

    def grouped(self, items: Sequence[Item]) -> list[list[Item]]:
        """R items by product: N lists."""
        remaining = iter(items)
        return [[next(remaining) for _ in range(count)] for count in self.counts]


def one_row_a_picture(rows: Sequence[CatalogRow], *, pictures: str) -> PictureRows:
    """Split products into a row for each picture.

    Args:
        rows: N products.
        pictures: ``first`` leaves every product one row.
    """
    if pictures == FIRST:
        return PictureRows(rows, [1] * len(rows))
    split = [_of_each_picture(row) for row in rows]
    return PictureRows([each for group in split for each in group], [len(group) for group in split])


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean over the pictures of one product that were answered; the first error, if none was.

    Args:
        scores: for each picture, at least one, an answer or an error.
    """
    answered = [each for each in scores if isinstance(each, Scored)]
    if len(answered) < 2:
        return answered[0] if answered else scores[0]
    mean = np.asarray(np.mean([each.scores for each in answered], axis=0, dtype=np.float64))
    agreement = float(np.mean([each.agreement for each in answered]))
    return answered[0]._replace(scores=mean, agreement=agreement, computed=())


def _of_each_picture(row: CatalogRow) -> list[CatalogRow]:
    if row.fault is not None or len(row.pictures) < 2:
        return [row]
    return [row._replace(image=name, pictures=(name,)) for name in row.pictures[:MOST_PICTURES]]
