"""Which labels may be wrong, and why: what picture, title and both together say, beside what the catalogue says.

A label is contradicted where another class is more probable, on the mean over what a product has: picture, title, both
together. Of these, confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068), as cleanlab implements it,
picks those that are contradicted more clearly than the model's usual errors explain.
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

# Picture and title contradict each other where both are this sure.
SURE = 0.8


class Said(NamedTuple):
    """What one modality says of a product.

    Args:
        modality: ``together``, ``picture`` or ``title``.
        label: the best class.
        score: its calibrated probability.
    """

    modality: str
    label: str
    score: float


@dataclasses.dataclass(frozen=True)
class Finding:
    """A product that a person should look at.

    Args:
        id: of the product.
        line: of the catalogue.
        image: path of its picture; "" for none.
        text: its title.
        given: its label in the catalogue.
        suggested: the label that is probably right.
        kind: a key of :data:`client.audit.finding_kinds.MEANING`.
        clear: confident learning takes the label for wrong.
        quality: mean probability of the given label over the modalities, 0..1; the lower, the more suspect.
        said: what each modality says.
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
    said: tuple[Said, ...]


@dataclasses.dataclass(frozen=True)
class Answers:
    """What was answered of labelled products.

    Args:
        rows: P rows with ``id``, ``line``, ``image``, ``text``.
        given: (P,) labels of the catalogue.
        labels: C classes that the model knows.
        said: by modality (P, C) probabilities, rows sum to 1; NaN where the product lacks that modality.
    """

    rows: Sequence[Mapping[str, Any]]
    given: NDArray[np.str_]
    labels: Sequence[str]
    said: Mapping[str, NDArray[np.float32]]


def find(answers: Answers) -> list[Finding]:
    """Products whose label may be wrong, the most suspect first; then those whose picture and title disagree.

    Args:
        answers: of products whose labels did not train the model; those with a label that it does not know cannot be
            judged and are left out.
    """
    places = {label: place for place, label in enumerate(answers.labels)}
    judged = [row for row, label in enumerate(answers.given) if label in places]
    if not judged:
        return []
    given = np.array([places[label] for label in answers.given[judged]])
    means = mean_probabilities(answers)
    if len(judged) < len(means):
        means = means[judged]
    clear = flagged(given, means)
    found = []
    for place, (row, said) in enumerate(zip(judged, _said(answers, judged), strict=True)):
        label = str(answers.given[row])
        kind, suggested = _judged(said, given=label, best=answers.labels[int(means[place].argmax())])
        if kind:
            found.append(
                Finding(
                    **{name: answers.rows[row][name] for name in ("id", "line", "image", "text")},
                    given=label,
                    suggested=suggested,
                    kind=kind,
                    clear=bool(clear[place]),
                    quality=float(means[place, given[place]]),
                    said=said,
                )
            )
    return sorted(found, key=lambda each: (each.kind == MODALITIES_DIFFER, each.quality, each.line))


def mean_probabilities(answers: Answers) -> NDArray[np.float32]:
    """(P, C) probabilities, the mean over the modalities that a product has; rows sum to 1."""
    mean = np.zeros((len(answers.given), len(answers.labels)), dtype=np.float32)
    counts = np.zeros((len(mean), 1), dtype=np.float32)
    for modality in answers.said.values():
        there = ~np.isnan(modality[:, :1])
        np.add(mean, modality, out=mean, where=there)
        counts += there
    with np.errstate(invalid="ignore"):  # no modality at all: NaN
        mean /= counts
    return mean


def flagged(given: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(P,) labels that confident learning takes for wrong.

    Args:
        given: (P,) classes.
        probabilities: (P, C).
    """
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 - takes two seconds to import

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="May not flag all label issues")  # a class of few products
        found: NDArray[np.bool_] = find_label_issues(given, probabilities, n_jobs=1)
    wrong: NDArray[np.bool_] = found & (probabilities.argmax(1) != given)
    return wrong


def _judged(said: Sequence[Said], *, given: str, best: str) -> tuple[str, str]:
    """The kind of a finding and the label that is suggested; "" for none."""
    if best != given:
        return (UNANIMOUS if all(each.label == best for each in said) else MAJORITY), best
    modalities = {each.modality: each for each in said}
    if PICTURE in modalities and TITLE in modalities and modalities[PICTURE].label != modalities[TITLE].label:
        picture, title = modalities[PICTURE], modalities[TITLE]
        if min(picture.score, title.score) >= SURE:
            return MODALITIES_DIFFER, picture.label if title.label == given else title.label
    return "", ""


def _said(answers: Answers, rows: Sequence[int]) -> Iterator[tuple[Said, ...]]:
    """By product what each modality says that it has."""
    best = {modality: (each.argmax(1), each.max(1)) for modality, each in answers.said.items()}  # NaN stays NaN
    for row in rows:
        yield tuple(
            Said(modality, answers.labels[int(label[row])], float(score[row]))
            for modality, (label, score) in best.items()
            if not np.isnan(score[row])
        )
