"""From logits to calibrated scores, by what a product was read from.

A model is not as sure of a title alone as of a product with its picture, and right less often where it is as sure: so
temperatures (Guo et al. 2017, arXiv:1706.04599) and review thresholds are those of the sides that were there.

Legend: N products, C classes, of all attributes where the model tells several.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .hierarchy import attribute_scores
from .settings import ProductSettings, modalities_read


def calibrated_scores(
    logits: NDArray[np.float64], present: NDArray[np.bool_], settings: ProductSettings
) -> NDArray[np.float64]:
    """Probabilities as they are answered.

    Args:
        logits: (N, C), finite or NaN.
        present: (N, 2): picture, title.
        settings: of the model.

    Returns:
        (N, C); NaN stays NaN, within its row.
    """
    scores = np.empty_like(logits)
    for rows, reading in _alike(present, settings):
        scores[rows] = attribute_scores(logits[rows], reading)
    return scores


def review_thresholds(present: NDArray[np.bool_], settings: ProductSettings) -> NDArray[np.float64]:
    """(N, 2) -> (N,): the score of ``target`` below which each product asks for a person's look."""
    thresholds = np.empty(len(present))
    for rows, reading in _alike(present, settings):
        thresholds[rows] = reading.review_threshold
    return thresholds


def _alike(
    present: NDArray[np.bool_], settings: ProductSettings
) -> Iterator[tuple[slice | NDArray[np.int64], ProductSettings]]:
    """Products that were read alike, with the settings for them."""
    if not settings.one_sided or present.all():
        yield slice(None), settings
        return
    for sides in np.unique(present, axis=0):
        yield np.flatnonzero((present == sides).all(axis=1)), settings.reading(modalities_read(sides))
