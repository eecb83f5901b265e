"""Corrected labels: a CSV whose labels replace those of a catalogue when it is read. The catalogue's file stays.

``python -m training train --corrections FILE`` applies a file of corrections (:mod:`training.catalog.corrections`) and
keeps a copy in the run folder. :mod:`training.data.corrected_attributes` handles the attributes that nobody corrected.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from training.catalog.corrected import with_columns
from training.catalog.corrections.reading import (
    Correction,
    check_labels,
    check_once,
    corrections_csv,
    named_lines,
    read_corrections,
)
from training.catalog.reading import CatalogError, product_columns

__all__ = [
    "CORRECTED_ATTRIBUTES_FILE",
    "CORRECTIONS_FILE",
    "Correction",
    "apply_corrections",
    "corrections_csv",
    "corrections_hash",
    "read_corrections",
    "reapply_corrections",
    "summary",
    "with_columns",
    "without_confirmations",
]

CORRECTIONS_FILE = "corrections.csv"
# The further attributes of corrected products, as the run was trained on them.
CORRECTED_ATTRIBUTES_FILE = "corrected_attributes.csv"
_NAMED = 5


def corrections_hash(path: Path) -> str:
    """Sha256 in hexadecimal over the corrections of a file, in any order."""
    rows = sorted(each[1:] for each in read_corrections(path))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def without_confirmations(
    products: pd.DataFrame, corrections: Sequence[Correction], *, columns: Sequence[str]
) -> Sequence[Correction]:
    """The corrections without those that confirm a label of the catalogue, as a review of answers writes them.

    A confirmation has no ``given``, or the same as its label. If there is nothing else, all are returned, and
    :func:`apply_corrections` refuses them.

    Args:
        products: as for :func:`apply_corrections`.
        corrections: with their columns.
        columns: as for :func:`apply_corrections`.
    """
    labels = {
        column: dict(zip(products["id"], products[place], strict=True))
        for column, place in product_columns(columns).items()
    }
    changing = [
        each
        for each in corrections
        if each.given not in ("", each.label) or labels.get(each.column, {}).get(each.id) != each.label
    ]
    return changing or corrections


def apply_corrections(
    products: pd.DataFrame, corrections: Sequence[Correction], *, columns: Sequence[str], name: str
) -> pd.DataFrame:
    """Products with their corrected labels.

    Args:
        products: of a catalogue, with ``id``, ``label`` and its further attributes.
        columns: the trained columns of the catalogue, the main attribute's first.
        name: of the file of corrections, for messages.

    Raises:
        CatalogError: a correction names another column or an unknown product, changes nothing, gives a label that the
            catalogue does not have any more, or corrects a label for the second time.
    """
    corrections = with_columns(corrections, columns)
    if foreign := [each for each in corrections if each.column not in columns]:
        strange = ", ".join(sorted({repr(each.column) for each in foreign}))
        trained = ", ".join(map(repr, columns)) + (" is trained" if len(columns) == 1 else " are trained")
        raise CatalogError(
            f"{name} corrects the column {strange}, but {trained}: {named_lines(foreign)}; choose the columns with "
            "--target, or take those lines out"
        )
    check_once(corrections, name)
    for column, place in product_columns(columns).items():
        own = [each for each in corrections if each.column == column]
        check_labels(dict(zip(products["id"], products[place], strict=True)), own, name)
        products = _with_values(products, {each.id: each.label for each in own}, place)
    return products


def reapply_corrections(run: Path, products: pd.DataFrame, *, target: str) -> pd.DataFrame:
    """Give products that were read again the corrected labels with which a run was trained.

    Args:
        run: the run folder; without corrections in it the products stay as they are.
        products: with ``id``, ``label`` and any further attributes.
        target: name of the run's main attribute.
    """
    if not (run / CORRECTIONS_FILE).is_file():
        return products
    labels = {each.id: each.label for each in read_corrections(run / CORRECTIONS_FILE) if each.column in ("", target)}
    products = _with_values(products, labels, "label")
    saved = pd.read_csv(run / CORRECTED_ATTRIBUTES_FILE, dtype=str, keep_default_na=False)
    for place in saved.columns.intersection(products.columns).drop("id"):
        products = _with_values(products, dict(zip(saved["id"], saved[place], strict=True)), place)
    return products


def summary(corrections: Sequence[Correction], known: Iterable[str]) -> str:
    """One line: the number of corrected labels, the most frequent new labels, and the new classes.

    Args:
        corrections: the applied ones.
        known: labels of the catalogue before them.
    """
    counts = pd.Series([each.label or "no value" for each in corrections]).value_counts()
    most = ", ".join(f"{label} {count:,}" for label, count in counts.head(_NAMED).items())
    more = f" and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
    new = sorted({each.label for each in corrections} - {"", *known})
    return f"{len(corrections):,} labels corrected, to {most}{more}" + (
        f"; new classes: {', '.join(new)}" if new else ""
    )


def _with_values(products: pd.DataFrame, right: Mapping[str, str], place: str) -> pd.DataFrame:
    """Replace values in one column, by id."""
    values = [right.get(id, value) for id, value in zip(products["id"], products[place], strict=True)]
    return products.assign(**{place: pd.Series(values, index=products.index, dtype="str")})
