"""The sections on classes: precision, recall and F1 of each class, and the classes that are confused with each other.

Legend: N test products, C classes.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from training.reporting.document.blocks import (
    Block,
    Cell,
    Column,
    Figure,
    Group,
    Matrix,
    MatrixCell,
    Paragraph,
    Products,
    Section,
    Table,
)
from training.reporting.document.links import products_link
from training.reporting.figures.charts import MATRIX_CLASSES, OTHER_CLASSES, draw_confusion
from training.reporting.figures.products import draw_groups
from training.reporting.results.model_names import MAJORITY, display_name
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData
from training.scores.metrics import Classes

WORST_PAIRS = 20
PAIRS_WITH_EXAMPLES = 6
EXAMPLES = 4
SHOWN_CLASSES = 40


class ClassScores(NamedTuple):
    """A model's scores for each class.

    Args:
        support: (C,) test products of the class.
        predicted: (C,) answers of the class.
        precision: (C,); 0 without answers.
        recall: (C,); 0 without test products.
        f1: (C,).
    """

    support: NDArray[np.int64]
    predicted: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


class ClassPair(NamedTuple):
    """Two classes that are confused with each other.

    Args:
        first: the class that loses more products to the other.
        second: the other.
        lost: products of ``first`` that are predicted as ``second``.
        back: products of ``second`` that are predicted as ``first``.
    """

    first: int
    second: int
    lost: int
    back: int


def class_scores(truth: Classes, predicted: Classes, *, classes: int) -> ClassScores:
    """Precision, recall and F1 of (N,) predictions by class."""
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=range(classes), zero_division=0
    )
    return ClassScores(support, np.bincount(predicted, minlength=classes), precision, recall, f1)


def confusion_counts(truth: Classes, predicted: Classes, *, classes: int) -> NDArray[np.int64]:
    """(C, C) products by true and predicted class."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def worst_pairs(counts: NDArray[np.int64]) -> list[ClassPair]:
    """Pairs of classes, most confused products first; equal pairs start with the smaller classes."""
    wrong = counts - np.diag(np.diag(counts))
    sizes = counts.sum(1)
    pairs = [
        ClassPair(a, b, int(wrong[a, b]), int(wrong[b, a]))
        if wrong[a, b] >= wrong[b, a]
        else ClassPair(b, a, int(wrong[b, a]), int(wrong[a, b]))
        for a, b in np.argwhere(np.triu(wrong + wrong.T)).tolist()
    ]
    return sorted(pairs, key=lambda pair: (-(pair.lost + pair.back), sizes[pair.first] + sizes[pair.second]))


def most_confused(pairs: Sequence[ClassPair], *, classes: int) -> list[int]:
    """Classes in the order of the worst pairs, so that confused classes are neighbours."""
    return list(dict.fromkeys(place for pair in pairs for place in (pair.first, pair.second)))[:classes]


def class_record(pooled: RunResults) -> dict[str, Any]:
    """The numbers of each class for ``report.json``: support, and each model's precision, recall and F1."""
    scores = _all_scores(pooled)
    return {
        label: {
            "support": int(scores[pooled.featured].support[place]),
            "models": {
                name: {metric: float(getattr(each, metric)[place]) for metric in ("precision", "recall", "f1")}
                for name, each in scores.items()
            },
        }
        for place, label in enumerate(pooled.labels)
    }


def per_class(data: ReportData) -> Iterator[Section]:
    """The section on all classes that have test products or answers, the worst first."""
    pooled = data.pooled
    scores = _all_scores(pooled)
    shown = scores.pop(pooled.featured)
    there = np.flatnonzero(shown.support + shown.predicted)
    order = there[np.lexsort((-shown.support[there], shown.f1[there], shown.support[there] == 0))]
    name = display_name(pooled.featured)
    columns = [Column(each, True) for each in ("test products", "precision %", "recall %", f"F1 % {name}")]
    columns = [Column("class"), *columns, *(Column(display_name(each), True) for each in scores)]
    rows = [
        [
            Cell(pooled.labels[place], link=products_link(truth=pooled.labels[place])),
            Cell(f"{shown.support[place]:,}", int(shown.support[place])),
            _share(
                shown.precision[place],
                there=bool(shown.predicted[place]),
                link=products_link(predicted=pooled.labels[place]),
            ),
            _share(
                shown.recall[place],
                there=bool(shown.support[place]),
                link=products_link(truth=pooled.labels[place], result="wrong"),
            ),
            *(_share(each.f1[place], there=bool(shown.support[place])) for each in (shown, *scores.values())),
        ]
        for place in order.tolist()
    ]
    several = " over all runs" if len(data.runs) > 1 else ""
    text = (
        f"{len(there)} classes{several}, sorted by the F1 of {name}, worst first. The last columns are the F1 of the "
        "other models. In a class with few test products, a single product changes these numbers by many points. "
        "Class, precision and recall open their products: all of the class, all answered as it, and those missed."
    )
    yield Section(
        "classes", "Class by class", [Paragraph(text), Table(columns, rows, sortable=True, first=SHOWN_CLASSES)]
    )


def confusion(data: ReportData) -> Iterator[Section]:
    """The section on confused classes: a matrix, the worst pairs, and examples."""
    pooled, name = data.pooled, display_name(data.pooled.featured)
    predicted = pooled.answers[pooled.featured].predicted
    counts = confusion_counts(pooled.truth, predicted, classes=len(pooled.labels))
    pairs = worst_pairs(counts)
    wrong = int((predicted != pooled.truth).sum())
    title = "Confused classes"
    if not pairs:
        text = f"All {len(predicted):,} test answers of {name} are right."
        yield Section("confusion", title, [Paragraph(text), _matrix(data, counts, pairs)])
        return
    worst = pairs[:WORST_PAIRS]
    amount = sum(pair.lost + pair.back for pair in worst)
    text = f"Of {len(predicted):,} test answers of {name}, {wrong:,} are wrong. "
    if len(pairs) > len(worst):
        text += f"The table has the worst {len(worst)} of {len(pairs):,} pairs of classes: {amount:,} wrong answers."
    blocks: list[Block] = [Paragraph(text), _matrix(data, counts, pairs), _pair_table(worst, counts, pooled.labels)]
    groups = _examples(data, predicted, worst[:PAIRS_WITH_EXAMPLES])
    if groups:
        draw_groups(data.figures / "confused-classes.png", [(group.heading, group.cards) for group in groups])
        figure = Figure("confused-classes.png", f"Products for which {name} predicts the other class of a pair")
        blocks.append(Products(groups, figure))
    yield Section("confusion", title, blocks)


def _all_scores(pooled: RunResults) -> dict[str, ClassScores]:
    return {
        name: class_scores(pooled.truth, answers.predicted, classes=len(pooled.labels))
        for name, answers in pooled.answers.items()
        if name != MAJORITY
    }


def _share(value: float, *, there: bool, link: str = "") -> Cell:
    return Cell(f"{100 * value:.1f}", float(value), link=link) if there else Cell("–", -1, "muted")


def _matrix(data: ReportData, counts: NDArray[np.int64], pairs: Sequence[ClassPair]) -> Matrix:
    """The confusion matrix of all classes, or of the most confused ones if all are too many to read."""
    labels, path = data.pooled.labels, data.figures / "confusion.png"
    alt = "Confusion matrix: true classes by row, predicted ones by column"
    if len(labels) <= MATRIX_CLASSES:
        draw_confusion(path, counts, labels)
        figure = Figure("confusion.png", alt, "Counts of test products; the colour is the share of the true class.")
        return _linked_matrix(labels, range(len(labels)), counts, figure)
    chosen = most_confused(pairs, classes=MATRIX_CLASSES) or np.argsort(-counts.sum(1))[:MATRIX_CLASSES].tolist()
    inside = counts[np.ix_(chosen, chosen)]
    others = counts[chosen].sum(1, keepdims=True) - inside.sum(1, keepdims=True)
    draw_confusion(path, np.concatenate([inside, others], axis=1), [labels[place] for place in chosen])
    figure = Figure(
        "confusion.png",
        alt,
        f"The {len(chosen)} most confused classes of {len(labels)}; “{OTHER_CLASSES}” holds the rest. Counts of test "
        "products; the colour is the share of the true class.",
    )
    return _linked_matrix(labels, chosen, np.concatenate([inside, others], axis=1), figure)


def _linked_matrix(labels: Sequence[str], chosen: Sequence[int], counts: NDArray[np.int64], figure: Figure) -> Matrix:
    """A matrix whose cells open their products; a column beyond the chosen classes holds all other answers."""
    columns = [*(labels[place] for place in chosen), OTHER_CLASSES][: counts.shape[1]]
    sizes = np.maximum(counts.sum(1), 1)
    rows = []
    for row, truth in enumerate(labels[place] for place in chosen):
        links = [products_link(truth=truth, predicted=labels[place]) for place in chosen]
        links.append(products_link(truth=truth, not_predicted=chosen))
        amounts = zip(counts[row].tolist(), links[: len(columns)], strict=True)
        rows.append((truth, [MatrixCell(count, count / sizes[row], link) for count, link in amounts]))
    return Matrix(columns, rows, figure)


def _pair_table(pairs: Sequence[ClassPair], counts: NDArray[np.int64], labels: Sequence[str]) -> Table:
    sizes = counts.sum(1)
    names = ("confused products", "first predicted as second", "second predicted as first", "% of both classes")
    columns = [Column("first class"), Column("second class"), *(Column(name, True) for name in names)]
    rows = []
    for pair in pairs:
        both, size = pair.lost + pair.back, int(sizes[pair.first] + sizes[pair.second])
        first, second = labels[pair.first], labels[pair.second]
        links = ["", products_link(truth=first, predicted=second), products_link(truth=second, predicted=first)]
        counted = zip((both, pair.lost, pair.back), links, strict=True)
        amounts = [Cell(f"{amount:,}", amount, link=link if amount else "") for amount, link in counted]
        share = Cell(f"{100 * both / size:.1f}", both / size)
        rows.append([Cell(labels[pair.first]), Cell(labels[pair.second]), *amounts, share])
    return Table(columns, rows, sortable=True)


def _examples(data: ReportData, predicted: Classes, pairs: Sequence[ClassPair]) -> list[Group]:
    """The most confident errors of each pair, no product twice; none if the catalogue is unreadable."""
    if data.catalog.unreadable:
        return []
    pooled = data.pooled
    probabilities = pooled.answers[pooled.featured].probabilities
    assert probabilities is not None
    groups = []
    for pair in pairs:
        places = (pair.first, pair.second)
        pairwise = np.isin(pooled.truth, places) & np.isin(predicted, places)
        inside = np.flatnonzero(pairwise & (pooled.truth != predicted))
        order = inside[np.argsort(-probabilities[inside].max(1), kind="stable")]
        _, first = np.unique(pooled.ids[order], return_index=True)
        rows = order[np.sort(first)][:EXAMPLES]
        a, b = pooled.labels[pair.first], pooled.labels[pair.second]
        heading = f"{a} and {b}: {pair.lost + pair.back:,} confused"
        groups.append(Group(heading, [data.card(pooled, int(row), [pooled.featured]) for row in rows]))
    return groups
