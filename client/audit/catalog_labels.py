"""Reads the labels of a catalogue."""

from collections import Counter

from client.api.log import Log
from training.catalog import CatalogError, CatalogSource, RowError, open_files, open_rows


def read_labels(source: CatalogSource, *, log: Log = print) -> dict[int, str]:
    """Labels by line of the catalogue, without the rows that have no label or another fault.

    Args:
        source: the catalogue.
        log: gets the notes on it, and the number of rows that are left out.

    Raises:
        CatalogError: the catalogue cannot be read, or contains no label.
    """
    files = open_files(source.path)
    labels: dict[int, str] = {}
    faults: list[tuple[int, RowError]] = []
    with open_rows(source, files, say=lambda note: log(f"note: {note}")) as (found, rows):
        for row in rows:
            if row.fault is None:
                labels[row.line] = row.label
            else:
                faults.append((row.line, row.fault))
    reasons = _reasons(faults)
    if not labels:
        column = found.label_column
        raise CatalogError(f"{source.path} has no row with a label in the column {column!r} to check: {reasons}")
    if faults:
        log(f"{len(faults):,} rows are not checked: {reasons}")
    return labels


def _reasons(faults: list[tuple[int, RowError]]) -> str:
    """The number of each reason, and the first row."""
    counts = Counter(fault.reason for _, fault in faults).most_common()
    listed = ", ".join(f"{reason} {count:,}" for reason, count in counts)
    return listed + (f" (first in line {faults[0][0]}: {faults[0][1].detail})" if faults else "")
