"""What products whose labels a person has corrected are trained on in the attributes that nobody corrected.

A wrong label's attributes are wrong with it: a shoe that lay under Tops lay in Topwear and Apparel as well. They are no
evidence of what follows from what, and where they follow, they follow from what was corrected.
Legend: N products, A attributes, the main one first; M attributes and R combinations of a hierarchy.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute, Hierarchy
from training.catalog.reading import product_columns
from training.data.attributes import MISSING
from training.data.corrections import Correction, with_columns


def corrected_cells(corrections: Iterable[Correction], ids: Iterable[str], columns: Sequence[str]) -> NDArray[np.bool_]:
    """(N, A): which labels a person has corrected.

    Args:
        corrections: of the run; those of products that it does not have are left out.
        ids: of N products.
        columns: A columns that are trained, the main attribute's first.
    """
    rows = {id: row for row, id in enumerate(ids)}
    found = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    for each in with_columns(corrections, columns):
        if each.id in rows:
            found[rows[each.id], columns.index(each.column)] = True
    return found


def reliable_targets(targets: NDArray[np.int64], corrected: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, A) classes that tell what follows from what: of corrected products the main attribute and what was corrected.

    A label whose products are all corrected keeps theirs: nothing else says what follows from it.

    Args:
        targets: (N, A) classes of training rows; ``MISSING`` where there is no value.
        corrected: (N, A), as from :func:`corrected_cells`.
    """
    touched = corrected.any(1)
    doubtful = touched & np.isin(targets[:, 0], targets[~touched, 0])
    left_out = doubtful[:, None] & ~corrected
    left_out[:, 0] = False
    return np.where(left_out, MISSING, targets)


def corrected_targets(
    targets: NDArray[np.int64],
    corrected: NDArray[np.bool_],
    attributes: Sequence[Attribute],
    hierarchies: Iterable[Hierarchy],
) -> NDArray[np.int64]:
    """(N, A) classes to train on: what nobody corrected goes with what was corrected beside it in a hierarchy.

    Args:
        targets: (N, A) classes; ``MISSING`` where there is no value. The main attribute stays.
        corrected: (N, A), as from :func:`corrected_cells`.
        attributes: A of them.
        hierarchies: which attributes follow from which.
    """
    names, result = [attribute.name for attribute in attributes], targets.copy()
    for hierarchy in hierarchies:
        columns = [names.index(name) for name in hierarchy.attributes]
        for row in np.flatnonzero(corrected[:, columns].any(1)):
            result[row, columns] = _possible(targets[row, columns], corrected[row, columns], hierarchy.places)
    result[:, 0] = targets[:, 0]
    return result


def _possible(values: NDArray[np.int64], fixed: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) classes of a product: the fixed ones, and what the combinations with these have or all agree on.

    Args:
        values: (M,) classes of the catalogue.
        fixed: (M,), which of them a person has corrected.
        places: (R, M) combinations.
    """
    allowed = places[(places[:, fixed] == values[fixed]).all(1)]
    if not len(allowed):
        return np.where(fixed, values, MISSING)
    agreed = np.where((allowed == allowed[0]).all(0), allowed[0], MISSING)
    return np.where(fixed | (allowed == values).any(0), values, agreed)


def replace_attributes(
    products: pd.DataFrame, attributes: Sequence[Attribute], *, before: NDArray[np.int64], after: NDArray[np.int64]
) -> pd.DataFrame:
    """N products with other values where their classes differ.

    Args:
        products: with a column for each attribute.
        attributes: A of them.
        before: (N, A) classes of the products.
        after: (N, A) classes that they get; ``MISSING`` for no value.
    """
    columns = product_columns([attribute.name for attribute in attributes]).values()
    for place, (attribute, column) in enumerate(zip(attributes, columns, strict=True)):
        labels = np.array([*attribute.labels, ""])[after[:, place]]  # MISSING is the last
        changed = pd.Series(labels, index=products.index, dtype="str")
        values = products[column].mask(before[:, place] != after[:, place], changed)
        products = products.assign(**{column: values})
    return products
