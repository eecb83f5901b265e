"""What a model answers to the validation part, in counts: later answers are compared with it (``client drift``).

They are the counts that a server reports of its answers (:mod:`handlers.product_serving.metrics`). Products have
weights, so that each class has the share that it has in all parts of the run. A grouped split keeps whole groups
together, so the validation part alone may have other shares. On 5,724 of 40,000 real products (142 classes) the
population stability index of its classes towards the test part was 0.095; that of the whole run was 0.019 (December
2026).

Legend: N products, C classes of all attributes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.product_serving.answer import SCORE_DIGITS
from handlers.product_serving.metrics import SCORE_BOUNDS
from handlers.product_serving.settings import ProductSettings, present_modalities
from training.data.attributes import MISSING
from training.scores.metrics import Classes, Probabilities

REFERENCE_FILE = "reference.json"
BOTH = "both"


def class_weights(truth: Classes, every: Classes) -> NDArray[np.float64]:
    """(N,) weights with which the classes of some products have their shares among all products; their sum is N.

    Args:
        truth: (N,) classes; ``MISSING`` for none, which has the weight 1.
        every: (M,) classes of all products.
    """
    known = truth != MISSING
    weights = np.ones(len(truth))
    if known.any():
        size = int(max(truth.max(), every.max())) + 1
        own, whole = (np.bincount(each[each != MISSING], minlength=size) for each in (truth, every))
        weights[known] = (whole / np.maximum(own, 1))[truth[known]]
        weights[known] *= known.sum() / weights[known].sum()
    return weights


def reference_counts(
    scores: Probabilities,
    present: NDArray[np.bool_],
    settings: ProductSettings,
    weights: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Products by answer of the main attribute, JSON-able.

    Args:
        scores: (N, C) probabilities, as the server gives them.
        present: (N, 2) the modalities that each product has.
        weights: (N,) of the products, with the sum N; None counts each as 1.

    Returns:
        ``products`` (N), ``labels`` (products by class, all classes in their order), ``scores`` (products by best score
        up to each of ``SCORE_BOUNDS``, from the bound before), ``modalities`` (products by ``image``, ``text`` or
        ``both``, whatever of it the model reads), ``unsure`` (products below the review threshold).
    """
    main = scores[:, settings.slices[settings.target]]
    weights = np.ones(len(main)) if weights is None else weights
    confidence = main.max(1, initial=0).astype(np.float64)
    given = [tuple(name for name in present_modalities(row) if name in settings.modalities) for row in present]
    thresholds = np.array([settings.for_modalities(each).main.review_threshold for each in given])
    names = np.array([each[0] if len(each) == 1 else BOTH for each in given], dtype=str)
    labels = _counts(main.argmax(1), weights, len(settings.labels))
    return {
        "products": len(main),
        "labels": dict(zip(settings.labels, labels, strict=True)),
        "scores": _counts(np.searchsorted(SCORE_BOUNDS, confidence.round(SCORE_DIGITS)), weights, len(SCORE_BOUNDS)),
        "modalities": {str(name): _sum(weights[names == name]) for name in np.unique(names)},
        "unsure": _sum(weights[confidence < thresholds]),
    }


def _counts(places: NDArray[np.int64], weights: NDArray[np.float64], size: int) -> list[float]:
    return [round(float(each), 3) for each in np.bincount(places, weights=weights, minlength=size)]


def _sum(weights: NDArray[np.float64]) -> float:
    return round(float(weights.sum()), 3)
