"""Reads a file of corrected labels, and checks it against the labels of a catalogue.

Columns: ``id``; ``label``, the right label; optionally ``column``, the corrected column of the catalogue (by default
the main attribute's), and ``given``, the label in the catalogue, which shows if the catalogue has changed since.
The sheet of ``python -m client audit`` writes such a file.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from training.catalog.corrections.table import read_table, spreadsheet_damage, with_zeros
from training.catalog.formats.errors import CatalogError

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
    """Read a file of corrections, also one that a spreadsheet has saved (:mod:`training.catalog.corrections.table`).

    Args:
        ids: of the catalogue's products; leading zeros that a spreadsheet has taken away are put back.

    Raises:
        CatalogError: it cannot be read, has an unknown or a missing column, or corrects a label twice.
    """
    header, lines = read_table(path, COLUMNS)
    _check_header(path, header)
    found = [_correction(path, line, dict(zip(header, row, strict=False)), row, header) for line, row in lines]
    if not found:
        raise CatalogError(f"{path} holds no correction; leave the file out, or tick some on the audit's sheet")
    if ids is not None:
        whole = with_zeros([each.id for each in found], ids)
        found = [each._replace(id=id) for each, id in zip(found, whole, strict=True)]
    check_once(found, str(path))
    return found


def corrections_csv(corrections: Iterable[Correction]) -> str:
    """The corrections as the CSV that :func:`read_corrections` reads."""
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows((each.id, each.column, each.given, each.label) for each in corrections)
    return buffer.getvalue()


def check_labels(labels: Mapping[str, str], corrections: Sequence[Correction], name: str) -> None:
    """Check the corrections of one column against its labels by id.

    Raises:
        CatalogError: a correction names an unknown product, changes nothing, or gives a label that the catalogue does
            not have any more.
    """
    if unknown := [each for each in corrections if each.id not in labels]:
        raise CatalogError(
            f"{name} corrects {len(unknown):,} products that are not in the catalogue, or were rejected: "
            f"{named_lines(unknown)}; take those lines out"
            f"{spreadsheet_damage((each.id for each in unknown), labels)}"
        )
    if same := [each for each in corrections if labels[each.id] == each.label]:
        raise CatalogError(
            f"{name} changes nothing in {len(same):,} products, which have that label in the catalogue already: "
            f"{named_lines(same)}; take those lines out"
        )
    if stale := [each for each in corrections if each.given and labels[each.id] != each.given]:
        first = stale[0]
        raise CatalogError(
            f"{name} was made for other labels than the catalogue has, in {len(stale):,} products: "
            f"{named_lines(stale)}; "
            f"{first.id!r} was {first.given!r} and is {labels[first.id]!r} now: audit the catalogue again"
        )


def check_once(corrections: Iterable[Correction], name: str) -> None:
    """Check that no label is corrected twice.

    Raises:
        CatalogError: one is.
    """
    seen: dict[tuple[str, str], int] = {}
    for each in corrections:
        if (first := seen.setdefault((each.id, each.column), each.line)) != each.line:
            raise CatalogError(f"{name}: lines {first} and {each.line} correct the same label of {each.id!r}; keep one")


def named_lines(found: Sequence[Correction]) -> str:
    """The first corrections with their lines, for messages."""
    shown = ", ".join(f"{each.id!r} (line {each.line})" for each in found[:_NAMED])
    return shown + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")


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
