"""Turn logits into scores and labels for all attributes, and keep dependent attributes consistent.

One attribute can determine others. With articleType -> subCategory -> masterCategory, a shoe is never in Apparel. Only
the combinations of labels that the training rows contain are possible; there is one for each label of the finest
attribute. The most probable combination is answered. Its probability comes from the calibrated probabilities of its
labels:

    p(c) = softmax over c of (sum over attributes a of log p_a(label of a in c)) / T

The product treats attributes as independent, although they describe the same product. T, fitted on the validation part,
corrects for that. The score of a label is the sum of p over the combinations with that label. Attributes outside any
hierarchy keep their own probabilities.

Legend: N products, A attributes, C classes of all attributes together, M attributes and R combinations of a hierarchy.
"""

import numpy as np
from numpy.typing import NDArray

from .settings import Hierarchy, ProductSettings

Floats = NDArray[np.float64]


def attribute_scores(logits: Floats, settings: ProductSettings) -> Floats:
    """Compute calibrated probabilities for every attribute.

    Args:
        logits: (N, C), finite or NaN.
        settings: of the model.

    Returns:
        (N, C); each attribute's slice sums to 1. A row with NaN stays NaN; other rows are unaffected.
    """
    logs = attribute_log_scores(logits, settings)
    scores: Floats = np.exp(logs)
    for hierarchy in settings.hierarchies:
        finest, *coarser = hierarchy.attributes
        joint = _softmax(joint_logits(logs, hierarchy, settings) / hierarchy.temperature)
        scores[:, settings.slices[finest]] = joint  # combinations are in the order of its labels
        for name in coarser:
            scores[:, settings.slices[name]] = joint @ settings.memberships[name]
    return scores


def attribute_log_scores(logits: Floats, settings: ProductSettings) -> Floats:
    """(N, C) -> (N, C): log-softmax of each attribute's logits divided by its temperature, without hierarchies."""
    starts, owners = settings.starts, settings.owners
    scaled = logits / settings.temperatures
    shifted = scaled - np.maximum.reduceat(scaled, starts, axis=1)[:, owners]
    logs: Floats = shifted - np.log(np.add.reduceat(np.exp(shifted), starts, axis=1))[:, owners]
    return logs


def joint_logits(logs: Floats, hierarchy: Hierarchy, settings: ProductSettings) -> Floats:
    """(N, C) log-probabilities -> (N, R) sums for a hierarchy's combinations, neither normalised nor calibrated."""
    total: Floats = logs[:, settings.columns[hierarchy.attributes]].sum(axis=1)  # (N, M, R) -> (N, R)
    return total


def chosen_labels(scores: Floats | NDArray[np.float32], settings: ProductSettings) -> NDArray[np.int64]:
    """Choose the answered labels, as indices within their attribute.

    Each attribute answers its most probable label. A hierarchy answers its most probable combination. If it contains
    the main attribute, only combinations with the main attribute's label are considered.

    Args:
        scores: (N, C), as from :func:`attribute_scores`.
        settings: of the model.

    Returns:
        (N, A).
    """
    names = list(settings.slices)
    labels = np.zeros((len(scores), len(names)), dtype=np.int64)
    for place, (name, part) in enumerate(settings.slices.items()):
        if name == settings.target or name not in settings.memberships:
            labels[:, place] = scores[:, part].argmax(1)
    for hierarchy in settings.hierarchies:
        rows = _combinations(scores, labels, hierarchy, settings)
        labels[:, [names.index(name) for name in hierarchy.attributes]] = hierarchy.label_indices[rows]
    return labels


def _combinations(
    scores: Floats | NDArray[np.float32], labels: NDArray[np.int64], hierarchy: Hierarchy, settings: ProductSettings
) -> NDArray[np.int64]:
    """(N,) index of the most probable combination; it has the main attribute's label if the hierarchy contains that."""
    finest = scores[:, settings.slices[hierarchy.attributes[0]]]
    if settings.target in hierarchy.attributes:
        of_main = hierarchy.label_indices[:, hierarchy.attributes.index(settings.target)]
        finest = np.where(of_main == labels[:, :1], finest, -1.0)
    best: NDArray[np.int64] = finest.argmax(1)
    return best


def _softmax(logits: Floats) -> Floats:
    shares: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
