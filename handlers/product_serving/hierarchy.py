"""From logits to the scores and labels of all that a model tells, where some of it follows from the rest.

What the training rows tell of each other, the answers respect: with articleType -> subCategory -> masterCategory no
shoe is ever in Apparel. Of such attributes only the combinations that training has seen are possible, one for each
label of the finest attribute. Their joint probability decides, the product of the calibrated probabilities of their
labels:

    p(c) = softmax over c of (sum over attributes a of log p_a(label of a in c)) / T

T, fitted on validation, takes back that the attributes' evidence is the same product's, not independent. An attribute's
score is its marginal, the sum of p over the combinations with its label. Attributes without a dependence keep theirs.

Legend: N products, A attributes, C classes of all attributes together, M attributes and R combinations of a hierarchy.
"""

import numpy as np
from numpy.typing import NDArray

from .settings import Hierarchy, ProductSettings

Floats = NDArray[np.float64]


def attribute_scores(logits: Floats, settings: ProductSettings) -> Floats:
    """Calibrated probabilities of every attribute.

    Args:
        logits: (N, C), finite or NaN.
        settings: of the model.

    Returns:
        (N, C); each attribute's slice sums to 1. NaN stays NaN, within its row.
    """
    logs = attribute_log_scores(logits, settings)
    scores: Floats = np.exp(logs)
    for hierarchy in settings.hierarchies:
        finest, *coarser = hierarchy.attributes
        joint = _softmax(joint_logits(logs, hierarchy, settings) / hierarchy.temperature)
        scores[:, settings.slices[finest]] = joint  # one combination for each of its labels, in their order
        for name in coarser:
            scores[:, settings.slices[name]] = joint @ settings.memberships[name]
    return scores


def attribute_log_scores(logits: Floats, settings: ProductSettings) -> Floats:
    """(N, C) -> (N, C): each attribute's log-softmax over its temperature, before any hierarchy."""
    starts, owners = settings.starts, settings.owners
    scaled = logits / settings.temperatures
    shifted = scaled - np.maximum.reduceat(scaled, starts, axis=1)[:, owners]
    logs: Floats = shifted - np.log(np.add.reduceat(np.exp(shifted), starts, axis=1))[:, owners]
    return logs


def joint_logits(logs: Floats, hierarchy: Hierarchy, settings: ProductSettings) -> Floats:
    """(N, C) log-probabilities -> (N, R): those of a hierarchy's combinations, neither normalised nor calibrated."""
    total: Floats = logs[:, settings.columns[hierarchy.attributes]].sum(axis=1)  # (N, M, R) -> (N, R)
    return total


def chosen_labels(scores: Floats | NDArray[np.float32], settings: ProductSettings) -> NDArray[np.int64]:
    """The labels that are answered, as positions.

    Of each attribute the most probable label. In a hierarchy it is the most probable combination; where the main
    attribute is in it, the most probable of those with the main attribute's label.

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
        labels[:, [names.index(name) for name in hierarchy.attributes]] = hierarchy.places[rows]
    return labels


def _combinations(
    scores: Floats | NDArray[np.float32], labels: NDArray[np.int64], hierarchy: Hierarchy, settings: ProductSettings
) -> NDArray[np.int64]:
    """(N,) the most probable combination; where the main attribute is in it, of those with its label."""
    finest = scores[:, settings.slices[hierarchy.attributes[0]]]
    if settings.target in hierarchy.attributes:
        of_main = hierarchy.places[:, hierarchy.attributes.index(settings.target)]
        finest = np.where(of_main == labels[:, :1], finest, -1.0)
    best: NDArray[np.int64] = finest.argmax(1)
    return best


def _softmax(logits: Floats) -> Floats:
    shares: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
