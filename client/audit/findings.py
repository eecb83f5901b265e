"""Which labels may be wrong, and why: what picture, title and both together say, beside what the catalogue says.

A label is contradicted where another class is more probable, on the mean over the sides that a product has. Of these,
confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068), as cleanlab implements it, picks those that are
contradicted more clearly than the model's usual errors explain.
Legend: P products, C classes.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from client.audit.kinds import MAJORITY, SIDES_DIFFER, UNANIMOUS
from client.audit.sides import PICTURE, SIDES, TITLE, TOGETHER
from client.inference import Scored

# Two sides that contradict each other count where both are this sure.
SURE = 0.8


class Said(NamedTuple):
    """What one side says of a product.

    Args:
        side: ``together``, ``picture`` or ``title``.
        label: the best class.
        score: its calibrated probability.
        given: the probability of the class that the catalogue gives; 0 where it is not among the best.
    """

    side: str
    label: str
    score: float
    given: float


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
        kind: a key of :data:`client.audit.kinds.MEANING`.
        clear: confident learning takes the label for wrong.
        quality: mean probability of the given label over the sides, 0..1; the lower, the more suspect.
        said: what each side says.
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
        tops: by side P lists of the best classes; None where the product lacks that side.
    """

    rows: Sequence[Mapping[str, Any]]
    given: NDArray[np.str_]
    tops: Mapping[str, Sequence[Sequence[Scored] | None]]


def read_answers(out: Path, labels: Mapping[int, str]) -> Answers:
    """The answers that :func:`client.audit.sides.score_sides` left.

    Args:
        out: folder of the audit.
        labels: by line of the catalogue; answers to other lines are left out.
    """
    by_side = {side: {row["line"]: row for row in _predictions(out / "scores" / side)} for side in SIDES}
    lines = [line for line in by_side[TOGETHER] if line in labels]
    tops = {
        side: [_top(by_side[side].get(line), expected=side) for line in lines]
        for side in SIDES
    }  # fmt: skip
    return Answers([by_side[TOGETHER][line] for line in lines], np.array([labels[line] for line in lines]), tops)


def find(answers: Answers, labels: Sequence[str]) -> list[Finding]:
    """Products whose label may be wrong, the most suspect first; behind them those whose sides contradict each other.

    Args:
        answers: of products whose labels did not train the model.
        labels: C classes that the model knows; products with another label cannot be judged and are left out.
    """
    places = {label: place for place, label in enumerate(labels)}
    known = [row for row, given in enumerate(answers.given) if given in places]
    if not known:
        return []
    given = np.array([places[answers.given[row]] for row in known])
    means = mean_probabilities(answers, known, places)
    quality = means[np.arange(len(known)), given]
    clear = flagged(given, means)
    found = []
    for place, row in enumerate(known):
        said = _said(answers, row)
        kind, suggested = _judged(said, given=str(answers.given[row]), best=labels[int(means[place].argmax())])
        if kind:
            found.append(
                Finding(
                    **{name: answers.rows[row][name] for name in ("id", "line", "image", "text")},
                    given=str(answers.given[row]),
                    suggested=suggested,
                    kind=kind,
                    clear=bool(clear[place]),
                    quality=float(quality[place]),
                    said=said,
                )
            )
    return sorted(found, key=lambda each: (each.kind == SIDES_DIFFER, each.quality, each.line))


def mean_probabilities(answers: Answers, rows: Sequence[int], places: Mapping[str, int]) -> NDArray[np.float32]:
    """(P, C) probabilities, the mean over the sides that a product has; rows sum to 1.

    What an answer does not list shares the probability that is left.
    """
    means = np.zeros((len(rows), len(places)), dtype=np.float32)
    for place, row in enumerate(rows):
        tops = [top for side in SIDES if (top := answers.tops[side][row]) is not None]
        for top in tops:
            listed = [(places[each.label], each.score) for each in top if each.label in places]
            scores = np.full(len(places), np.nan, dtype=np.float32)
            scores[[column for column, _ in listed]] = [score for _, score in listed]
            missing = np.isnan(scores)
            scores[missing] = max(0.0, 1 - float(np.nansum(scores))) / max(1, int(missing.sum()))
            means[place] += scores / scores.sum() / len(tops)
    return means


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
    sides = {each.side: each for each in said}
    if PICTURE in sides and TITLE in sides and sides[PICTURE].label != sides[TITLE].label:
        picture, title = sides[PICTURE], sides[TITLE]
        if min(picture.score, title.score) >= SURE:
            return SIDES_DIFFER, picture.label if title.label == given else title.label
    return "", ""


def _said(answers: Answers, row: int) -> tuple[Said, ...]:
    given = answers.given[row]
    said = []
    for side in SIDES:
        top = answers.tops[side][row]
        if top is not None:
            scores = {each.label: each.score for each in top}
            said.append(Said(side, top[0].label, top[0].score, scores.get(given, 0.0)))
    return tuple(said)


def _predictions(folder: Path) -> Iterator[dict[str, Any]]:
    return iter(pq.read_table(folder / "predictions.parquet").to_pylist())


def _top(row: Mapping[str, Any] | None, *, expected: str) -> list[Scored] | None:
    """The best classes of an answer; None where there is none, or where it read both sides or the other one alone."""
    if row is None:
        return None
    if expected == TOGETHER or row["modalities"] == {PICTURE: "image", TITLE: "text"}[expected]:
        return [Scored(each["label"], each["score"]) for each in row["top"]]
    return None
