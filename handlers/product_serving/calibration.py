"""From logits to calibrated scores, by what a product was read from.

A model is less sure of a title alone than of a product with its picture, and where it is as sure, it is right less
often. So the temperatures (Guo et al. 2017, arXiv:1706.04599) and review thresholds are those of the modalities that
were there.

Legend: N products, A attributes, C classes of all attributes together.
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
    """(N, 2) -> (N, A): the score of each attribute below which it asks for a person's look."""
    thresholds = np.empty((len(present), len(settings.attributes)))
    for rows, reading in _alike(present, settings):
        thresholds[rows] = [attribute.review_threshold for attribute in reading.attributes]
    return thresholds


def _alike(
    present: NDArray[np.bool_], settings: ProductSettings
) -> Iterator[tuple[slice | NDArray[np.int64], ProductSettings]]:
    """Products that were read alike, with the settings for them."""
    if not settings.one_modality or present.all():
        yield slice(None), settings
        return
    for there in np.unique(present, axis=0):
        yield np.flatnonzero((present == there).all(axis=1)), settings.reading(modalities_read(there))
