"""Metrics of each attribute, measured on the served labels.

In a hierarchy the served label may differ from the attribute's most probable one.
Legend: N products, A attributes, C classes of all attributes, concatenated.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.product_serving.hierarchy import chosen_labels
from handlers.product_serving.settings import Attribute, ProductSettings
from training.data.attributes import MISSING
from training.scores.metrics import Classes, Probabilities, brier_score, summarize, summarize_labels


def main_scores(scores: NDArray[np.float32], settings: ProductSettings) -> NDArray[np.float32]:
    """(N, C) -> (N, C_main): the probabilities of the main attribute."""
    return np.ascontiguousarray(scores[:, settings.slices[settings.target]])


def answered_scores(scores: Probabilities, settings: ProductSettings) -> list[Probabilities]:
    """The scores of the served labels.

    Args:
        scores: (N, C), as from :func:`handlers.product_serving.hierarchy.attribute_scores`.

    Returns:
        For each attribute an (N, C_attribute) array. It holds the score of the served label and 0 elsewhere.
    """
    labels = chosen_labels(scores, settings)
    found: list[Probabilities] = []
    for part, chosen in zip(settings.slices.values(), labels.T, strict=True):
        only = np.zeros_like(scores[:, part])
        np.put_along_axis(only, chosen[:, None], np.take_along_axis(scores[:, part], chosen[:, None], axis=1), axis=1)
        found.append(only)
    return found


def summarize_attributes(scores: Probabilities, truth: Classes, settings: ProductSettings) -> dict[str, dict[str, Any]]:
    """Metrics by the attribute's name, JSON-able. Products without a value are left out.

    Args:
        scores: (N, C).
        truth: (N, A), ``MISSING`` for no value.
    """
    metrics = {}
    whole = [scores[:, part] for part in settings.slices.values()]
    for attribute, served, probabilities, classes in zip(
        settings.attributes, answered_scores(scores, settings), whole, truth.T, strict=True
    ):
        if len(rows := np.flatnonzero(classes != MISSING)):
            metrics[attribute.name] = {
                **summarize(served[rows], classes[rows], attribute.labels),
                "brier": brier_score(probabilities[rows], classes[rows]),
            }
    return metrics


def summarize_predicted(
    predicted: Classes, truth: Classes, attributes: Sequence[Attribute]
) -> dict[str, dict[str, Any]]:
    """As :func:`summarize_attributes`, for a model without probabilities.

    Args:
        predicted: (N, A).
        truth: (N, A), ``MISSING`` for no value.
        attributes: A of them.
    """
    metrics = {}
    for attribute, labels, classes in zip(attributes, predicted.T, truth.T, strict=True):
        if len(rows := np.flatnonzero(classes != MISSING)):
            metrics[attribute.name] = summarize_labels(labels[rows], classes[rows], attribute.labels)
    return metrics
