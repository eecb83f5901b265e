"""Targets of products with a corrected label, in the attributes that nobody corrected.

If a label is wrong, the attributes that follow from it are wrong too: a shoe labelled Tops is also in Topwear and
Apparel. So the search for hierarchies ignores them, and in a hierarchy they are set to fit the corrected label.
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
    """(N, A) bool: the labels that a person has corrected.

    Args:
        corrections: of the run; unknown products are ignored.
        ids: N product ids.
        columns: the A columns that are trained, the main attribute's first.
    """
    rows = {id: row for row, id in enumerate(ids)}
    found = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    for each in with_columns(corrections, columns):
        if each.id in rows:
            found[rows[each.id], columns.index(each.column)] = True
    return found


def reliable_targets(targets: NDArray[np.int64], corrected: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, A) classes for the search for hierarchies.

    Corrected products keep only their main attribute and the corrected values; the rest is ``MISSING``. If all products
    of a label are corrected, they keep all values, because there is no other evidence.

    Args:
        targets: (N, A) classes of training rows; ``MISSING`` for no value.
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
    """(N, A) classes to train on: in a hierarchy, the other attributes of a product are set to fit its corrections.

    Args:
        targets: (N, A) classes; ``MISSING`` for no value. The main attribute stays.
        corrected: (N, A), as from :func:`corrected_cells`.
        attributes: A attributes.
        hierarchies: of these attributes.
    """
    names, result = [attribute.name for attribute in attributes], targets.copy()
    for hierarchy in hierarchies:
        columns = [names.index(name) for name in hierarchy.attributes]
        for row in np.flatnonzero(corrected[:, columns].any(1)):
            result[row, columns] = _possible(targets[row, columns], corrected[row, columns], hierarchy.label_indices)
    result[:, 0] = targets[:, 0]
    return result


def _possible(values: NDArray[np.int64], fixed: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) classes of a product that fit its corrected ones.

    A value stays if a combination with the corrected values has it. Otherwise it becomes the value on which these
    combinations agree, or ``MISSING``.

    Args:
        values: (M,) classes in the catalogue.
        fixed: (M,) bool, the corrected ones.
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
    """Products with new values where their classes change.

    Args:
        products: N rows with a column for each attribute.
        attributes: A attributes.
        before: (N, A) old classes.
        after: (N, A) new classes; ``MISSING`` for no value.
    """
    columns = product_columns([attribute.name for attribute in attributes]).values()
    for place, (attribute, column) in enumerate(zip(attributes, columns, strict=True)):
        labels = np.array([*attribute.labels, ""])[after[:, place]]  # MISSING is -1, the last entry
        changed = pd.Series(labels, index=products.index, dtype="str")
        values = products[column].mask(before[:, place] != after[:, place], changed)
        products = products.assign(**{column: values})
    return products
