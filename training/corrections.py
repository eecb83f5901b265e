"""Labels that a person has corrected: a CSV that is laid over a catalogue when it is read, and leaves its file alone.

Columns: ``id`` and ``label``, the right one; ``column`` (whose labels they are) and ``given`` (the label in the
catalogue, so that one which has changed since is noticed) may be left out. The sheet of ``python -m client audit``
yields such a file; ``python -m training train --corrections FILE`` applies it and keeps a copy in the run folder.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from training.catalog_files import CatalogError

FILE = "corrections.csv"
COLUMNS = ("id", "column", "given", "label")
NEEDED = ("id", "label")
_NAMED = 5


class Correction(NamedTuple):
    """A label that was wrong.

    Args:
        line: of the file, from 1.
        id: of the product.
        column: of the catalogue; "" for the one that is trained.
        given: the label in the catalogue; "" where the file does not say.
        label: the right one.
    """

    line: int
    id: str
    column: str
    given: str
    label: str


def read_corrections(path: Path) -> list[Correction]:
    """Read a file of corrections.

    Raises:
        CatalogError: it cannot be read, has an unknown column, lacks one, or corrects a product twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CatalogError(f"{path} cannot be read as a CSV of corrections ({error})") from error
    _check_header(path, header)
    found = [_correction(path, line, dict(zip(header, row, strict=False)), row, header) for line, row in lines]
    if not found:
        raise CatalogError(f"{path} holds no correction; leave out --corrections, or tick some on the audit's sheet")
    seen: dict[tuple[str, str], int] = {}
    for each in found:
        if (first := seen.setdefault((each.id, each.column), each.line)) != each.line:
            raise CatalogError(f"{path}: lines {first} and {each.line} both correct {each.id!r}; keep one of them")
    return found


def corrections_hash(path: Path) -> str:
    """What tells the corrections of one file from those of another, in hexadecimal; their order does not count."""
    rows = sorted(each[1:] for each in read_corrections(path))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def correct(products: pd.DataFrame, corrections: Sequence[Correction], *, column: str, name: str) -> pd.DataFrame:
    """Products with their corrected labels.

    Args:
        products: of a catalogue, with ``id`` and ``label``.
        corrections: to apply.
        column: of the catalogue, whose labels these are.
        name: of the file of corrections, for messages.

    Raises:
        CatalogError: a correction is of another column or an unknown product, changes nothing, or was made of another
            label than the catalogue has.
    """
    if foreign := [each for each in corrections if each.column not in ("", column)]:
        columns = ", ".join(sorted({repr(each.column) for each in foreign}))
        raise CatalogError(
            f"{name} corrects the column {columns}, but {column!r} is trained: {_lines(foreign)}; choose the column "
            "with --target, or take those lines out"
        )
    labels = dict(zip(products["id"], products["label"], strict=True))
    if unknown := [each for each in corrections if each.id not in labels]:
        raise CatalogError(
            f"{name} corrects {len(unknown):,} products that the catalogue does not have, or that were rejected: "
            f"{_lines(unknown)}; take those lines out"
        )
    if same := [each for each in corrections if labels[each.id] == each.label]:
        raise CatalogError(
            f"{name} changes nothing in {len(same):,} products, whose label in the catalogue is the corrected one "
            f"already: {_lines(same)}; take those lines out"
        )
    if stale := [each for each in corrections if each.given and labels[each.id] != each.given]:
        first = stale[0]
        raise CatalogError(
            f"{name} was made of other labels than the catalogue has, in {len(stale):,} products: {_lines(stale)}; "
            f"{first.id!r} was {first.given!r} and is {labels[first.id]!r}: audit the catalogue as it is now"
        )
    return _laid_over(products, corrections)


def correct_again(run: Path, products: pd.DataFrame) -> pd.DataFrame:
    """Products of a run's catalogue, read once more, with the labels that the run was trained on.

    Args:
        run: the run folder; one without corrections leaves the products as they are.
        products: with ``id`` and ``label``; those that the corrections do not name stay.
    """
    path = run / FILE
    return _laid_over(products, read_corrections(path)) if path.is_file() else products


def summary(corrections: Sequence[Correction], known: Iterable[str]) -> str:
    """One line: how many labels are changed, what most often, and which classes are new.

    Args:
        corrections: that were applied.
        known: labels of the catalogue before.
    """
    counts = pd.Series([each.label for each in corrections]).value_counts()
    most = ", ".join(f"{label} {count:,}" for label, count in counts.head(_NAMED).items())
    more = f" and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
    new = sorted({each.label for each in corrections} - set(known))
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


def _laid_over(products: pd.DataFrame, corrections: Iterable[Correction]) -> pd.DataFrame:
    right = {each.id: each.label for each in corrections}
    labels = [right.get(id, label) for id, label in zip(products["id"], products["label"], strict=True)]
    return products.assign(label=pd.Series(labels, index=products.index, dtype="str"))


def _lines(found: Sequence[Correction]) -> str:
    shown = ", ".join(f"{each.id!r} (line {each.line})" for each in found[:_NAMED])
    return shown + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")
