"""The attributes of a catalogue: their classes, and hierarchies of attributes, found in the training rows.

Legend: N products, A >= 1 attributes. The main attribute comes first; its values are the products' ``label``.
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
# If nearly all products have one value, any attribute predicts it, and MIN_AGREEMENT alone means nothing.
MIN_GAIN = 0.9
MIN_COVERAGE = 0.5


def attribute_classes(products: pd.DataFrame, names: Sequence[str]) -> tuple[Attribute, ...]:
    """Each attribute with its classes, sorted.

    Args:
        products: training rows of a catalogue.
        names: A names, the main attribute's first.

    Raises:
        CatalogError: an attribute has fewer than two values.
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
    """(N, A) int64 classes; ``MISSING`` for no value, and for a value that is not a class."""
    targets = np.full((len(products), len(attributes)), MISSING, dtype=np.int64)
    columns = product_columns([attribute.name for attribute in attributes]).values()
    for place, (attribute, column) in enumerate(zip(attributes, columns, strict=True)):
        position = {label: number for number, label in enumerate(attribute.labels)}
        targets[:, place] = [position.get(value, MISSING) for value in products[column]]
    return targets


def find_hierarchies(targets: NDArray[np.int64], attributes: Sequence[Attribute]) -> tuple[Hierarchy, ...]:
    """Find attributes that follow from another one.

    A source predicts for each product the most frequent dependent value among the *other* products with the same source
    value. An attribute depends on the source if

    - the predictions are right for at least ``MIN_AGREEMENT`` of the products;
    - they correct at least ``MIN_GAIN`` of the errors that the overall most frequent value makes (Goodman & Kruskal's
      lambda, 1954);
    - at least ``MIN_COVERAGE`` of the products share their source value with others; the rest are left out.

    An attribute that depends on several sources is assigned to the best one that depends on no other attribute.

    Args:
        targets: (N, A) classes of training rows; ``MISSING`` for no value.
        attributes: A attributes.

    Returns:
        A hierarchy for each source: its dependent attributes, and the most frequent combination for each of its labels.
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
    """Share of the products whose dependent value the source predicts; 0 if a threshold of the search is missed."""
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
    """The transitive closure of (A, A) agreements: an indirect dependency has the smallest agreement on its path."""
    closed = agreement.copy()
    for between in range(len(closed)):
        closed = np.maximum(closed, np.minimum(closed[:, between, None], closed[None, between]))
    np.fill_diagonal(closed, 0)
    return closed


def _finest(dependent: int, agreement: NDArray[np.float64]) -> int | None:
    """The best source that depends on no other attribute. Of two that depend on each other, the first is the source."""

    def above(one: int, other: int) -> bool:
        return agreement[one, other] > 0 and (agreement[other, one] == 0 or one < other)

    attributes = range(len(agreement))
    tops = [
        each for each in attributes if above(each, dependent) and not any(above(other, each) for other in attributes)
    ]
    return max(tops, key=lambda top: agreement[top, dependent], default=None)


def _combinations(targets: NDArray[np.int64], *, classes: int) -> tuple[tuple[int, ...], ...]:
    """The most frequent combination of labels for each label of the first column, complete ones preferred."""
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
    """The combination of a label without a complete product.

    A value that its own ``rows`` lack is the most frequent class among the products that agree best with the known
    values. If no product agrees, all products count.
    """
    values = np.array([label, *(_most_frequent(column) for column in rows.T[1:])])
    for place in np.flatnonzero(values == MISSING):
        there = targets[targets[:, place] != MISSING]
        known = 1 + np.flatnonzero(values[1:] != MISSING)
        agreeing = (there[:, known] == values[known]).sum(1)
        values[place] = _most_frequent(there[agreeing == agreeing.max(), place])
    return tuple(values.tolist())


def _most_frequent(column: NDArray[np.int64]) -> int:
    """The most frequent class in a column; ``MISSING`` if there is none."""
    there = column[column != MISSING]
    return int(np.bincount(there).argmax()) if len(there) else MISSING
