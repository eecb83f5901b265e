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
from .scores import Scored
from .settings import ProductSettings, present_modalities

SCORE_DIGITS = 6
# Each tower with the modality that it reads, in the order of their cost.
TOWER_READS = {"lexical": "text", "text": "text", "image": "image"}


UNSURE, CONFLICT = "unsure", "picture_and_title_disagree"
REASONS = (UNSURE, CONFLICT)  # why a person should look at an answer


def product_answer(
    scored: Scored,
    *,
    top_k: int,
    model: dict[str, str],
    settings: ProductSettings,
) -> dict[str, Any]:
    """Build the answer to one product.

    Args:
        scored: as from :func:`product_serving.scores.score_products`.
        top_k: number of classes to list, limited to the classes of the main attribute.
        model: name, version, engine (as ``backend``) and the reason for the engine (``backend_reason``).
        settings: labels and review thresholds.
    """
    scores, cascade = scored.scores, settings.cascade
    given = present_modalities(scored.present)
    read = {TOWER_READS[tower] for tower in scored.computed or TOWER_READS}
    modalities = [name for name in given if name in read]
    conflict = settings.conflict_threshold is not None and scored.agreement < settings.conflict_threshold
    letters_alone = scored.computed == ("lexical",)
    settings = settings.of_letters if letters_alone else settings.for_modalities(modalities)
    of_main = scores[settings.slices[settings.target]]
    best = np.argsort(-of_main, kind="stable")[:top_k]
    top = [{"label": settings.labels[row], "score": round(float(of_main[row]), SCORE_DIGITS)} for row in best]
    further = _other_attributes(scores, settings)
    unsure = bool(of_main[best[0]] < settings.main.review_threshold)
    return {
        **top[0],
        "top": top,
        **({"attributes": further} if further else {}),
        "modalities": modalities,
        **({} if cascade is None else _computed(scored, given, modalities)),
        "needs_review": unsure or conflict,
        **_set(of_main, settings),
        "review": [reason for reason, true in zip(REASONS, (unsure, conflict), strict=True) if true],
        "model": model,
    }


def _set(of_main: NDArray[np.float64], settings: ProductSettings) -> dict[str, Any]:
    """The classes of the main attribute that hold the right one for ``set_coverage`` of the products, best first.

    And the labels of coarser attributes that all these classes share. Empty if no threshold was fitted.
    """
    if not settings.main.set_threshold:
        return {}
    best = np.argsort(-of_main, kind="stable")
    chosen = best[: max(1, int(np.count_nonzero(of_main >= settings.main.set_threshold)))]
    found: dict[str, Any] = {"set": [settings.labels[row] for row in chosen]}
    coarser = [each for each in settings.hierarchies if each.attributes[0] == settings.target]
    if len(chosen) > 1 and coarser:
        shared = coarser[0].label_indices[chosen][:, 1:]
        labels = {attribute.name: attribute.labels for attribute in settings.attributes}
        of_one = zip(coarser[0].attributes[1:], shared.T.tolist(), strict=True)
        if within := {name: labels[name][column[0]] for name, column in of_one if len(set(column)) == 1}:
            found["set_within"] = within
    return found


def _computed(scored: Scored, given: Sequence[str], read: Sequence[str]) -> dict[str, Any]:
    """The towers that were computed for an answer, whether an exit gave it, and what was sent but not read."""
    every = [tower for tower, modality in TOWER_READS.items() if modality in given]
    return {
        "computed": list(scored.computed) or every,
        "early": bool(scored.computed),
        "not_read": [name for name in given if name not in read],
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
