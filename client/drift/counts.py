"""Answers in counts, wherever they come from; see :func:`training.scores.reference.reference_counts`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from handlers.product_serving.answer import CONFLICT, UNSURE

__all__ = ["CONFLICT", "UNSURE", "AnswerCounts", "Share"]


class Share(NamedTuple):
    """``part`` of ``whole`` products."""

    part: float
    whole: float

    @property
    def value(self) -> float:
        """0..1; 0 without products."""
        return self.part / self.whole if self.whole else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerCounts:
    """Products by their answers. Counts of Prometheus are no whole numbers.

    Args:
        source: where they come from, for messages.
        products: number of answers.
        labels: by best class; of a reference, all classes in their order.
        scores: by best score, one for each of ``SCORE_BOUNDS``; None if they were not counted.
        modalities: by ``image``, ``text`` or ``both``; None if they cannot be compared.
        unsure: those below the review threshold; None if they were not counted.
        conflicts: of those with picture and title, the ones in conflict; None for a model that sees none.
        notes: what was left out, a sentence each.
    """

    source: str
    products: float
    labels: Mapping[str, float]
    scores: Sequence[float] | None
    modalities: Mapping[str, float] | None
    unsure: Share | None
    conflicts: Share | None
    notes: Sequence[str] = ()
