"""Finds labels that may be wrong by the answers to picture, title and both together.

A label is contradicted if another class has a higher mean probability over the modalities of the product. Confident
learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068; implementation: cleanlab) marks as clear the contradictions
that the model's usual errors do not explain.
Legend: P products, C classes.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.audit.finding_kinds import MAJORITY, MODALITIES_DIFFER, UNANIMOUS
from client.audit.modalities import PICTURE, TITLE

# Picture and title contradict each other if both have at least this probability.
SURE_SCORE = 0.8


class ModalityAnswer(NamedTuple):
    """The answer to one modality of a product.

    Args:
        modality: ``together``, ``picture`` or ``title``.
        label: the best class.
        score: its calibrated probability, 0..1.
    """

    modality: str
    label: str
    score: float


@dataclasses.dataclass(frozen=True)
class Finding:
    """A product that a person should check.

    Args:
        id: id of the product.
        line: its line in the catalogue.
        image: path of its picture; "" for none.
        text: its title.
        given: its label in the catalogue.
        suggested: the label that is probably right.
        kind: a key of :data:`client.audit.finding_kinds.MEANING`.
        clear: confident learning marks the label as wrong.
        quality: mean probability of the given label over the modalities, 0..1; low values are suspect.
        answers: the answer to each modality.
    """

    id: str
    line: int
    image: str
    text: str
    given: str
    suggested: str
    kind: str
    clear: bool
    quality: float
    answers: tuple[ModalityAnswer, ...]


@dataclasses.dataclass(frozen=True)
class AuditAnswers:
    """Labelled products with the model's answers.

    Args:
        rows: P rows with ``id``, ``line``, ``image``, ``text``.
        given: (P,) labels of the catalogue.
        labels: C classes that the model knows.
        probabilities: (P, C) float32 by modality; rows sum to 1, and are NaN if the product lacks the modality.
    """

    rows: Sequence[Mapping[str, Any]]
    given: NDArray[np.str_]
    labels: Sequence[str]
    probabilities: Mapping[str, NDArray[np.float32]]


def find_label_errors(answers: AuditAnswers) -> list[Finding]:
    """Products whose label may be wrong, the most suspect first, then those whose picture and title disagree.

    Args:
        answers: answers of a model that was not trained on these labels. Products with a label that the model does not
            know are left out.
    """
    places = {label: place for place, label in enumerate(answers.labels)}
    judged = [row for row, label in enumerate(answers.given) if label in places]
    if not judged:
        return []
    given = np.array([places[label] for label in answers.given[judged]])
    means = mean_probabilities(answers)
    if len(judged) < len(means):
        means = means[judged]
    clear = confident_label_errors(given, means)
    found = []
    for place, (row, by_modality) in enumerate(zip(judged, _by_modality(answers, judged), strict=True)):
        label = str(answers.given[row])
        kind, suggested = _judged(by_modality, given=label, best=answers.labels[int(means[place].argmax())])
        if kind:
            found.append(
                Finding(
                    **{name: answers.rows[row][name] for name in ("id", "line", "image", "text")},
                    given=label,
                    suggested=suggested,
                    kind=kind,
                    clear=bool(clear[place]),
                    quality=float(means[place, given[place]]),
                    answers=by_modality,
                )
            )
    return sorted(found, key=lambda each: (each.kind == MODALITIES_DIFFER, each.quality, each.line))


def mean_probabilities(answers: AuditAnswers) -> NDArray[np.float32]:
    """(P, C) float32, the mean of the probabilities over the modalities of each product; rows sum to 1."""
    mean = np.zeros((len(answers.given), len(answers.labels)), dtype=np.float32)
    counts = np.zeros((len(mean), 1), dtype=np.float32)
    for modality in answers.probabilities.values():
        there = ~np.isnan(modality[:, :1])
        np.add(mean, modality, out=mean, where=there)
        counts += there
    with np.errstate(invalid="ignore"):  # a product without any modality: NaN
        mean /= counts
    return mean


def confident_label_errors(given: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(P,) bool, True for labels that confident learning marks as wrong.

    Args:
        given: (P,) classes.
        probabilities: (P, C).
    """
    if len(np.unique(given)) < 2:  # there is no usual error to compare with
        return np.zeros(len(given), dtype=np.bool_)
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 - takes two seconds to import

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="May not flag all label issues")  # for classes with few products
        found: NDArray[np.bool_] = find_label_issues(given, probabilities, n_jobs=1)
    wrong: NDArray[np.bool_] = found & (probabilities.argmax(1) != given)
    return wrong


def _judged(answers: Sequence[ModalityAnswer], *, given: str, best: str) -> tuple[str, str]:
    """The kind of the finding and the suggested label; ("", "") if there is no finding."""
    if best != given:
        return (UNANIMOUS if all(each.label == best for each in answers) else MAJORITY), best
    modalities = {each.modality: each for each in answers}
    if PICTURE in modalities and TITLE in modalities and modalities[PICTURE].label != modalities[TITLE].label:
        picture, title = modalities[PICTURE], modalities[TITLE]
        if min(picture.score, title.score) >= SURE_SCORE:
            return MODALITIES_DIFFER, picture.label if title.label == given else title.label
    return "", ""


def _by_modality(answers: AuditAnswers, rows: Sequence[int]) -> Iterator[tuple[ModalityAnswer, ...]]:
    """For each product the answers to its modalities."""
    best = {
        modality: (each.argmax(1), each.max(1)) for modality, each in answers.probabilities.items()
    }  # NaN stays NaN
    for row in rows:
        yield tuple(
            ModalityAnswer(modality, answers.labels[int(label[row])], float(score[row]))
            for modality, (label, score) in best.items()
            if not np.isnan(score[row])
        )
