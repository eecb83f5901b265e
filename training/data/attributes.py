"""The attributes of a catalogue: their classes, and which of them follow from which, by the training rows.

Legend: N products, A >= 1 attributes, the main one first: its values are the products' ``label``.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute, Hierarchy
from training.catalog.reading import CatalogError, product_columns

MISSING = -1

MIN_AGREEMENT = 0.99
# Where nearly all products have one value, everything tells it, and nothing does.
MIN_GAIN = 0.9
MIN_COVERAGE = 0.5


def attribute_classes(products: pd.DataFrame, names: Sequence[str]) -> tuple[Attribute, ...]:
    """Each attribute with the values that occur.

    Args:
        products: training rows of a catalogue.
        names: of A attributes, the main one first.

    Raises:
        CatalogError: one has fewer than two values, which leaves nothing to tell apart.
    """
    attributes = []
    for name, column in product_columns(names).items():
        labels = tuple(sorted(set(products[column]) - {""}))
        if len(labels) < 2:
            raise CatalogError(
                f"a classifier needs two classes or more, the training part has {list(labels)} of {name!r}: "
                "take it out of --target"
            )
        attributes.append(Attribute(name=name, labels=labels))
    return tuple(attributes)


def product_targets(products: pd.DataFrame, attributes: Sequence[Attribute]) -> NDArray[np.int64]:
    """(N, A) int64 classes; ``MISSING`` for no value, and for one that is no class."""
    targets = np.full((len(products), len(attributes)), MISSING, dtype=np.int64)
    columns = product_columns([attribute.name for attribute in attributes]).values()
    for place, (attribute, column) in enumerate(zip(attributes, columns, strict=True)):
        position = {label: number for number, label in enumerate(attribute.labels)}
        targets[:, place] = [position.get(value, MISSING) for value in products[column]]
    return targets


def find_hierarchies(targets: NDArray[np.int64], attributes: Sequence[Attribute]) -> tuple[Hierarchy, ...]:
    """Attributes that follow from another one, by at least ``MIN_AGREEMENT`` of the products.

    An attribute follows from another where the most frequent value among the *other* products with the same value of
    that one is right: a value that a single product has tells nothing, for or against, and at least ``MIN_COVERAGE`` of
    the products must have others. It must also get ``MIN_GAIN`` of those right that the most frequent value of all gets
    wrong (Goodman & Kruskal's lambda, 1954). What follows from several goes to the one that tells it best, of those
    that follow from nothing themselves.

    Args:
        targets: (N, A) classes of training rows; ``MISSING`` where there is no value.
        attributes: A of them.

    Returns:
        For each attribute that others follow from, these with the most frequent combination for each of its labels.
    """
    places = range(len(attributes))
    agreement = _closed(
        np.array([[_agreement(targets[:, one], targets[:, other]) for other in places] for one in places])
    )
    finest: dict[int, list[int]] = {}
    for dependent in places:
        if (source := _finest(dependent, agreement)) is not None:
            finest.setdefault(source, []).append(dependent)
    return tuple(
        Hierarchy(
            attributes=tuple(attributes[each].name for each in (source, *dependents)),
            combinations=_combinations(targets[:, [source, *dependents]], classes=len(attributes[source].labels)),
        )
        for source, dependents in sorted(finest.items())
    )


def _agreement(source: NDArray[np.int64], dependent: NDArray[np.int64]) -> float:
    """Share of the products whose dependent their source tells, single ones of a value aside; 0 where it is too few."""
    both = (source != MISSING) & (dependent != MISSING)
    if source is dependent or not both.any():
        return 0.0
    counts = np.zeros((source.max() + 1, dependent.max() + 1), dtype=np.int64)
    np.add.at(counts, (source[both], dependent[both]), 1)
    counts = counts[counts.sum(1) > 1]
    covered, most = counts.sum(), counts.sum(0).max()
    if covered < MIN_COVERAGE * both.sum() or most == covered:
        return 0.0
    best, second = counts.max(1), np.sort(counts, axis=1)[:, -2]
    agreement, guessed = best[best - 1 > second].sum() / covered, most / covered
    return float(agreement) if agreement >= MIN_AGREEMENT and 1 - agreement <= (1 - MIN_GAIN) * (1 - guessed) else 0.0


def _closed(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A, A): what follows from a dependent of an attribute follows from that as well, as surely as its weaker step."""
    closed = agreement.copy()
    for between in range(len(closed)):
        closed = np.maximum(closed, np.minimum(closed[:, between, None], closed[None, between]))
    np.fill_diagonal(closed, 0)
    return closed


def _finest(dependent: int, agreement: NDArray[np.float64]) -> int | None:
    """The attribute at the top that tells a dependent best; of two that tell each other the first is at the top."""

    def above(one: int, other: int) -> bool:
        return agreement[one, other] > 0 and (agreement[other, one] == 0 or one < other)

    attributes = range(len(agreement))
    tops = [
        each for each in attributes if above(each, dependent) and not any(above(other, each) for other in attributes)
    ]
    return max(tops, key=lambda top: agreement[top, dependent], default=None)


def _combinations(targets: NDArray[np.int64], *, classes: int) -> tuple[tuple[int, ...], ...]:
    """The most frequent combination of labels for each label of the first column, one that is complete if there is."""
    found = []
    for label in range(classes):
        rows = targets[targets[:, 0] == label]
        whole = rows[(rows != MISSING).all(1)]
        if len(whole):
            counts = Counter(map(tuple, whole.tolist()))
            found.append(max(counts, key=lambda each: (counts[each], tuple(-part for part in each))))
        else:
            found.append(_completed(label, rows, targets))
    return tuple(found)


def _completed(label: int, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> tuple[int, ...]:
    """The combination of a label that no product has a whole one of.

    What its own ``rows`` lack is the most frequent class of the products that agree with most of what they have; where
    none agrees, or they have nothing, of all.
    """
    values = np.array([label, *(_most_frequent(column) for column in rows.T[1:])])
    for place in np.flatnonzero(values == MISSING):
        there = targets[targets[:, place] != MISSING]
        known = 1 + np.flatnonzero(values[1:] != MISSING)
        agreeing = (there[:, known] == values[known]).sum(1)
        values[place] = _most_frequent(there[agreeing == agreeing.max(), place])
    return tuple(values.tolist())


def _most_frequent(column: NDArray[np.int64]) -> int:
    """The most frequent class of some products; ``MISSING`` where none has one."""
    there = column[column != MISSING]
    return int(np.bincount(there).argmax()) if len(there) else MISSING
