"""Turn logits into calibrated scores, with settings that depend on the modalities of the product.

On a title alone, a model is less confident than on a title with a picture, and at equal confidence it is less often
right. So products with one modality have their own temperatures (Guo et al. 2017, arXiv:1706.04599) and review
thresholds.

Legend: N products, A attributes, C classes of all attributes together.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .hierarchy import attribute_scores
from .settings import ProductSettings, present_modalities


def calibrated_scores(
    logits: NDArray[np.float64], present: NDArray[np.bool_], settings: ProductSettings
) -> NDArray[np.float64]:
    """Compute the probabilities that the server answers.

    Args:
        logits: (N, C), finite or NaN.
        present: (N, 2): picture, title.
        settings: of the model.

    Returns:
        (N, C). A row with NaN stays NaN; other rows are unaffected.
    """
    scores = np.empty_like(logits)
    for rows, applicable in _by_modalities(present, settings):
        scores[rows] = attribute_scores(logits[rows], applicable)
    return scores


def review_thresholds(present: NDArray[np.bool_], settings: ProductSettings) -> NDArray[np.float64]:
    """(N, 2) -> (N, A): each attribute's review threshold; a person should review an answer with a lower score."""
    thresholds = np.empty((len(present), len(settings.attributes)))
    for rows, applicable in _by_modalities(present, settings):
        thresholds[rows] = [attribute.review_threshold for attribute in applicable.attributes]
    return thresholds


def _by_modalities(
    present: NDArray[np.bool_], settings: ProductSettings
) -> Iterator[tuple[slice | NDArray[np.int64], ProductSettings]]:
    """Group the products by their modalities; yield the rows of each group and the settings that apply."""
    if not settings.one_modality or present.all():
        yield slice(None), settings
        return
    for there in np.unique(present, axis=0):
        yield np.flatnonzero((present == there).all(axis=1)), settings.for_modalities(present_modalities(there))
