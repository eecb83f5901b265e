"""Corrected labels: a CSV whose labels replace those of a catalogue when it is read. The catalogue's file stays.

Columns: ``id``; ``label``, the right label; optionally ``column``, the corrected column of the catalogue (by default
the main attribute's), and ``given``, the label in the catalogue, which shows if the catalogue has changed since.
The sheet of ``python -m client audit`` writes such a file. ``python -m training train --corrections FILE`` applies it
and keeps a copy in the run folder. :mod:`training.data.corrected_attributes` handles the attributes that nobody
corrected.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from training.catalog.labels import label_value
from training.catalog.reading import CatalogError, product_columns
from training.data.correction_table import read_table, spreadsheet_damage, with_zeros

CORRECTIONS_FILE = "corrections.csv"
# The further attributes of corrected products, as the run was trained on them.
CORRECTED_ATTRIBUTES_FILE = "corrected_attributes.csv"
COLUMNS = ("id", "column", "given", "label")
NEEDED = ("id", "label")
_NAMED = 5


class Correction(NamedTuple):
    """One corrected label.

    Args:
        line: in the file, from 1.
        id: of the product.
        column: of the catalogue; "" for the main attribute.
        given: the label in the catalogue; "" if the file does not give it.
        label: the right label.
    """

    line: int
    id: str
    column: str
    given: str
    label: str


def read_corrections(path: Path, *, ids: Iterable[str] | None = None) -> list[Correction]:
    """Read a file of corrections, also one that a spreadsheet has saved (:mod:`training.data.correction_table`).

    Args:
        ids: of the catalogue's products; leading zeros that a spreadsheet has taken away are put back.

    Raises:
        CatalogError: it cannot be read, has an unknown or a missing column, or corrects a label twice.
    """
    header, lines = read_table(path, COLUMNS)
    _check_header(path, header)
    found = [_correction(path, line, dict(zip(header, row, strict=False)), row, header) for line, row in lines]
    if not found:
        raise CatalogError(f"{path} holds no correction; leave out --corrections, or tick some on the audit's sheet")
    if ids is not None:
        whole = with_zeros([each.id for each in found], ids)
        found = [each._replace(id=id) for each, id in zip(found, whole, strict=True)]
    _check_once(found, str(path))
    return found


def corrections_csv(corrections: Iterable[Correction]) -> str:
    """The corrections as the CSV that :func:`read_corrections` reads."""
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows((each.id, each.column, each.given, each.label) for each in corrections)
    return buffer.getvalue()


def corrections_hash(path: Path) -> str:
    """Sha256 in hexadecimal over the corrections of a file, in any order."""
    rows = sorted(each[1:] for each in read_corrections(path))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def with_columns(corrections: Iterable[Correction], columns: Sequence[str]) -> list[Correction]:
    """Fill in the column of each correction. For a further attribute, a label that means "no value" becomes "".

    Args:
        columns: the trained columns, the main attribute's first.
    """
    named = [each._replace(column=each.column or columns[0]) for each in corrections]
    return [each if each.column == columns[0] else each._replace(label=label_value(each.label)) for each in named]


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
            f"{name} corrects the column {strange}, but {trained}: {_lines(foreign)}; choose the columns with "
            "--target, or take those lines out"
        )
    _check_once(corrections, name)
    for column, place in product_columns(columns).items():
        own = [each for each in corrections if each.column == column]
        _check_labels(dict(zip(products["id"], products[place], strict=True)), own, name)
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


def _check_header(path: Path, header: Sequence[str]) -> None:
    if unknown := [name for name in header if name not in COLUMNS]:
        raise CatalogError(
            f"{path} has unknown columns {', '.join(map(repr, unknown))}; known are {', '.join(COLUMNS)}"
        )
    if missing := [name for name in NEEDED if name not in header]:
        raise CatalogError(f"{path} has no column {', '.join(map(repr, missing))}; it needs {' and '.join(NEEDED)}")
    if len(set(header)) < len(header):
        raise CatalogError(f"{path} has a column twice: {', '.join(header)}")


def _correction(path: Path, line: int, cells: dict[str, str], row: Sequence[str], header: Sequence[str]) -> Correction:
    if len(row) != len(header):
        raise CatalogError(f"{path}, line {line}: {len(row)} cells, the header has {len(header)}")
    values = {name: cells.get(name, "").strip() for name in COLUMNS}
    for name in NEEDED:
        if not values[name]:
            raise CatalogError(f"{path}, line {line}: the {name} is empty")
    return Correction(line, **values)


def _check_once(corrections: Iterable[Correction], name: str) -> None:
    seen: dict[tuple[str, str], int] = {}
    for each in corrections:
        if (first := seen.setdefault((each.id, each.column), each.line)) != each.line:
            raise CatalogError(f"{name}: lines {first} and {each.line} correct the same label of {each.id!r}; keep one")


def _check_labels(labels: Mapping[str, str], corrections: Sequence[Correction], name: str) -> None:
    """Check the corrections of one column against its labels by id."""
    if unknown := [each for each in corrections if each.id not in labels]:
        raise CatalogError(
            f"{name} corrects {len(unknown):,} products that are not in the catalogue, or were rejected: "
            f"{_lines(unknown)}; take those lines out{spreadsheet_damage((each.id for each in unknown), labels)}"
        )
    if same := [each for each in corrections if labels[each.id] == each.label]:
        raise CatalogError(
            f"{name} changes nothing in {len(same):,} products, which have that label in the catalogue already: "
            f"{_lines(same)}; take those lines out"
        )
    if stale := [each for each in corrections if each.given and labels[each.id] != each.given]:
        first = stale[0]
        raise CatalogError(
            f"{name} was made for other labels than the catalogue has, in {len(stale):,} products: {_lines(stale)}; "
            f"{first.id!r} was {first.given!r} and is {labels[first.id]!r} now: audit the catalogue again"
        )


def _with_values(products: pd.DataFrame, right: Mapping[str, str], place: str) -> pd.DataFrame:
    """Replace values in one column, by id."""
    values = [right.get(id, value) for id, value in zip(products["id"], products[place], strict=True)]
    return products.assign(**{place: pd.Series(values, index=products.index, dtype="str")})


def _lines(found: Sequence[Correction]) -> str:
    shown = ", ".join(f"{each.id!r} (line {each.line})" for each in found[:_NAMED])
    return shown + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")
