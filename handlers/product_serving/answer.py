"""From scores to the JSON that is answered, serialised here: ASCII, finite numbers, no surprises for the front end.

Legend: C classes, of all attributes where the model tells several.
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
    """The answer to one product.

    Args:
        scores: (C,) probabilities, as from :func:`product_serving.scores.score_products`.
        top_k: how many classes to list; no more than there are.
        modalities: what the model read of this product.
        model: name, version, engine (as ``backend``) and why it was chosen.
        settings: labels and review thresholds.
    """
    settings = settings.reading(modalities)
    of_target = scores[: len(settings.labels)]
    best = np.argsort(-of_target, kind="stable")[:top_k]
    top = [{"label": settings.labels[row], "score": round(float(of_target[row]), SCORE_DIGITS)} for row in best]
    return {
        **top[0],
        "top": top,
        **({"attributes": _attributes(scores, settings)} if settings.attributes else {}),
        "modalities": list(modalities),
        "needs_review": bool(of_target[best[0]] < settings.review_threshold),
        "model": model,
    }


def _attributes(scores: NDArray[np.float64], settings: ProductSettings) -> dict[str, dict[str, Any]]:
    """Label, score and review flag of all but ``target``."""
    chosen = chosen_labels(scores[None], settings)[0]
    said = zip(settings.heads, chosen.tolist(), scores[settings.starts + chosen].tolist(), strict=True)
    return {
        head.name: {
            "label": head.labels[label],
            "score": round(score, SCORE_DIGITS),
            "needs_review": score < head.review_threshold,
        }
        for head, label, score in said
        if head.name != settings.target
    }


def serialise(answers: Sequence[dict[str, Any] | ProductError], *, many: bool) -> tuple[int, str]:
    """HTTP status and body of one request.

    Args:
        answers: one entry a product; exactly one unless ``many``.
        many: wrap them as ``predictions``; the status is 200, since each product carries its own error.
    """
    documents = [answer.as_dict() if isinstance(answer, ProductError) else answer for answer in answers]
    if many:
        return 200, json.dumps({"predictions": documents}, allow_nan=False)
    status = answers[0].code if isinstance(answers[0], ProductError) else 200
    return status, json.dumps(documents[0], allow_nan=False)
