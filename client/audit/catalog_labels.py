"""The labels that a catalogue gives its products."""

from training.catalog import CatalogError, CatalogSource, open_files, open_rows


def read_labels(source: CatalogSource) -> dict[int, str]:
    """Labels by line of the catalogue; rows without one, or at fault otherwise, are left out.

    Raises:
        CatalogError: the catalogue cannot be used, or has not one label.
    """
    files = open_files(source.path)
    with open_rows(source, files) as (found, rows):
        labels = {row.line: row.label for row in rows if row.fault is None}
    if not labels:
        raise CatalogError(f"{source.path} has no row with a label in the column {found.label_column!r}")
    return labels
