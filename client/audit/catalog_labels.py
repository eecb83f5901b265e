"""Reads the labels of a catalogue."""

from training.catalog import CatalogError, CatalogSource, open_files, open_rows


def read_labels(source: CatalogSource) -> dict[int, str]:
    """Labels by line of the catalogue, without the rows that have no label or another fault.

    Raises:
        CatalogError: the catalogue cannot be read, or contains no label.
    """
    files = open_files(source.path)
    with open_rows(source, files) as (found, rows):
        labels = {row.line: row.label for row in rows if row.fault is None}
    if not labels:
        raise CatalogError(f"{source.path} has no row with a label in the column {found.label_column!r}")
    return labels
