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
    """

    side: str
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
        labels: C classes that the model knows.
        said: by side (P, C) probabilities, rows sum to 1; NaN where the product lacks that side.
    """

    rows: Sequence[Mapping[str, Any]]
    given: NDArray[np.str_]
    labels: Sequence[str]
    said: Mapping[str, NDArray[np.float32]]

    def chosen(self, rows: Sequence[int]) -> "Answers":
        """Of some products."""
        said = {side: each[rows] for side, each in self.said.items()}
        return Answers([self.rows[row] for row in rows], self.given[rows], self.labels, said)


def read_answers(out: Path, given: Mapping[int, str], labels: Sequence[str] | None = None) -> Answers:
    """The answers that :func:`client.audit.sides.score_sides` left.

    Args:
        out: folder of the audit.
        given: labels by line of the catalogue; answers to other lines are left out.
        labels: classes that the model knows; None takes those that it named.
    """
    predictions = {side: _predictions(out, side) for side in SIDES}
    tops = {side: {row["line"]: _top(row, expected=side) for row in rows} for side, rows in predictions.items()}
    labels = labels or sorted({entry.label for side in tops.values() for top in side.values() for entry in top})
    places = {label: place for place, label in enumerate(labels)}
    rows = [row for row in predictions[TOGETHER] if row["line"] in given]
    said = {side: np.zeros((len(rows), len(labels)), dtype=np.float32) for side in SIDES}
    for number, row in enumerate(rows):
        for side, found in tops.items():
            said[side][number] = spread(found.get(row["line"], ()), places)
    return Answers(rows, np.array([given[row["line"]] for row in rows]), labels, said)


def spread(top: Sequence[Scored], places: Mapping[str, int]) -> NDArray[np.float32]:
    """(C,) probabilities of the best classes of an answer; the others share what is left, and no answer is NaN.

    Args:
        top: the best classes.
        places: of all C classes.
    """
    scores = np.full(len(places), np.nan, dtype=np.float32)
    listed = [each for each in top if each.label in places]
    if not listed:
        return scores
    scores[[places[each.label] for each in listed]] = [each.score for each in listed]
    missing = np.isnan(scores)
    scores[missing] = max(0.0, 1 - float(np.nansum(scores))) / max(1, int(missing.sum()))
    shared: NDArray[np.float32] = scores / scores.sum()
    return shared


def find(answers: Answers) -> list[Finding]:
    """Products whose label may be wrong, the most suspect first; behind them those whose sides contradict each other.

    Args:
        answers: of products whose labels did not train the model; those with a label that it does not know cannot be
            judged and are left out.
    """
    places = {label: place for place, label in enumerate(answers.labels)}
    answers = answers.chosen([row for row, given in enumerate(answers.given) if given in places])
    if not answers.rows:
        return []
    given = np.array([places[label] for label in answers.given])
    means = mean_probabilities(answers)
    clear = flagged(given, means)
    found = []
    for row, said in enumerate(_said(answers)):
        label = str(answers.given[row])
        kind, suggested = _judged(said, given=label, best=answers.labels[int(means[row].argmax())])
        if kind:
            found.append(
                Finding(
                    **{name: answers.rows[row][name] for name in ("id", "line", "image", "text")},
                    given=label,
                    suggested=suggested,
                    kind=kind,
                    clear=bool(clear[row]),
                    quality=float(means[row, given[row]]),
                    said=said,
                )
            )
    return sorted(found, key=lambda each: (each.kind == SIDES_DIFFER, each.quality, each.line))


def mean_probabilities(answers: Answers) -> NDArray[np.float32]:
    """(P, C) probabilities, the mean over the sides that a product has; rows sum to 1."""
    sides = np.stack(list(answers.said.values()))  # (S, P, C)
    mean: NDArray[np.float32] = np.nanmean(sides, axis=0)
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
    sides = {each.side: each for each in said}
    if PICTURE in sides and TITLE in sides and sides[PICTURE].label != sides[TITLE].label:
        picture, title = sides[PICTURE], sides[TITLE]
        if min(picture.score, title.score) >= SURE:
            return SIDES_DIFFER, picture.label if title.label == given else title.label
    return "", ""


def _said(answers: Answers) -> Iterator[tuple[Said, ...]]:
    """By product what each side says that it has."""
    best = {side: (each.argmax(1), each.max(1)) for side, each in answers.said.items()}  # NaN stays NaN
    for row in range(len(answers.rows)):
        yield tuple(
            Said(side, answers.labels[int(label[row])], float(score[row]))
            for side, (label, score) in best.items()
            if not np.isnan(score[row])
        )


def _predictions(out: Path, side: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "scores" / side / "predictions.parquet").to_pylist()
    return rows


def _top(row: Mapping[str, Any], *, expected: str) -> list[Scored]:
    """The best classes of an answer; none where it read both sides or the other one alone."""
    if expected == TOGETHER or row["modalities"] == {PICTURE: "image", TITLE: "text"}[expected]:
        return [Scored(each["label"], each["score"]) for each in row["top"]]
    return []
