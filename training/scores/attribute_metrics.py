"""The numbers of several attributes: of each what is answered, which in a hierarchy need not be its own most probable.

Legend: N products, A attributes, C classes, those of all attributes one behind the other.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from handlers.product_serving.hierarchy import chosen_labels
from handlers.product_serving.settings import Attribute, ProductSettings
from training.data.attributes import MISSING
from training.scores.metrics import Classes, Probabilities, summarize, summarize_labels

OF_ALL_CLASSES = "brier"  # which the score of the answer alone does not give


def answered(scores: Probabilities, settings: ProductSettings) -> list[Probabilities]:
    """What is answered of each attribute: (N, C of it), the score of the answered label, and 0 for all others.

    Args:
        scores: (N, C), as from :func:`handlers.product_serving.hierarchy.attribute_scores`.
        settings: of the model.
    """
    labels = chosen_labels(scores, settings)
    found: list[Probabilities] = []
    for part, chosen in zip(settings.slices.values(), labels.T, strict=True):
        only = np.zeros_like(scores[:, part])
        np.put_along_axis(only, chosen[:, None], np.take_along_axis(scores[:, part], chosen[:, None], axis=1), axis=1)
        found.append(only)
    return found


def summarize_attributes(scores: Probabilities, truth: Classes, settings: ProductSettings) -> dict[str, dict[str, Any]]:
    """The numbers of each further attribute by its name, JSON-able; products without a value are left out.

    Args:
        scores: (N, C).
        truth: (N, A), ``MISSING`` for no value.
        settings: of the model.
    """
    numbers = {}
    for head, said, classes in zip(settings.heads, answered(scores, settings), truth.T, strict=True):
        rows = np.flatnonzero(classes != MISSING)
        if len(rows) and head.name != settings.target:
            numbers[head.name] = summarize(said[rows], classes[rows], head.labels)
            del numbers[head.name][OF_ALL_CLASSES]
    return numbers


def summarize_predicted(predicted: Classes, truth: Classes, heads: Sequence[Attribute]) -> dict[str, dict[str, Any]]:
    """As :func:`summarize_attributes` of a model that gives no probabilities.

    Args:
        predicted: (N, attributes).
        truth: likewise.
        heads: the attributes.
    """
    numbers = {}
    for head, said, classes in zip(heads, predicted.T, truth.T, strict=True):
        if len(rows := np.flatnonzero(classes != MISSING)):
            numbers[head.name] = summarize_labels(said[rows], classes[rows], head.labels)
    return numbers
