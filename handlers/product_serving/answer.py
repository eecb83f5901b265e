"""Build the JSON answer from scores: ASCII text, finite numbers only.

``label``, ``score``, ``top`` and ``needs_review`` describe the main attribute; ``attributes`` holds the others.

Legend: C classes of all attributes together.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ProductError
from .hierarchy import chosen_labels
from .settings import ProductSettings

SCORE_DIGITS = 6


def product_answer(
    scores: NDArray[np.float64],
    *,
    top_k: int,
    modalities: Sequence[str],
    model: dict[str, str],
    settings: ProductSettings,
) -> dict[str, Any]:
    """Build the answer to one product.

    Args:
        scores: (C,) probabilities, as from :func:`product_serving.scores.score_products`.
        top_k: number of classes to list, limited to the classes of the main attribute.
        modalities: the ones that the model read of this product.
        model: name, version, engine (as ``backend``) and the reason for the engine (``backend_reason``).
        settings: labels and review thresholds.
    """
    settings = settings.for_modalities(modalities)
    of_main = scores[settings.slices[settings.target]]
    best = np.argsort(-of_main, kind="stable")[:top_k]
    top = [{"label": settings.labels[row], "score": round(float(of_main[row]), SCORE_DIGITS)} for row in best]
    further = _other_attributes(scores, settings)
    return {
        **top[0],
        "top": top,
        **({"attributes": further} if further else {}),
        "modalities": list(modalities),
        "needs_review": bool(of_main[best[0]] < settings.main.review_threshold),
        "model": model,
    }


def _other_attributes(scores: NDArray[np.float64], settings: ProductSettings) -> dict[str, dict[str, Any]]:
    """Label, score and review flag of each attribute except the main one."""
    chosen = chosen_labels(scores[None], settings)[0]
    answered = zip(settings.attributes, chosen.tolist(), scores[settings.starts + chosen].tolist(), strict=True)
    return {
        attribute.name: {
            "label": attribute.labels[label],
            "score": round(score, SCORE_DIGITS),
            "needs_review": score < attribute.review_threshold,
        }
        for attribute, label, score in list(answered)[1:]
    }


def serialise(answers: Sequence[dict[str, Any] | ProductError], *, many: bool) -> tuple[int, str]:
    """Return the HTTP status and body of one request.

    Args:
        answers: one for each product; exactly one unless ``many``.
        many: wrap the answers in ``predictions``. The status is then 200, because each product carries its own error.
    """
    documents = [answer.as_dict() if isinstance(answer, ProductError) else answer for answer in answers]
    if many:
        return 200, json.dumps({"predictions": documents}, allow_nan=False)
    status = answers[0].code if isinstance(answers[0], ProductError) else 200
    return status, json.dumps(documents[0], allow_nan=False)
