"""The columns of an uploaded table, to choose from, and whether the pictures that it names are there."""

import itertools
from pathlib import Path
from typing import NamedTuple

from training.catalog import CatalogSource, likely_columns, open_files, open_rows, table_columns

LOOKED_AT = 50
"""Rows whose pictures are looked for before a catalogue is scored."""


class TableColumns(NamedTuple):
    """What a table has to choose from.

    Args:
        names: its columns, each once.
        image: the column that looks like the pictures; "" for none.
        text: the column that looks like the titles; "" for none.
        id: the column that looks like the ids; "" for none.
    """

    names: list[str]
    image: str
    text: str
    id: str


def read_columns(path: Path) -> TableColumns:
    """The columns of a table, or of a zip with one.

    Raises:
        CatalogError: it cannot be read as a catalogue.
    """
    header = list(dict.fromkeys(filter(None, table_columns(CatalogSource(path=str(path)), open_files(path)))))
    likely = likely_columns(header)
    return TableColumns(header, likely["image"], likely["text"], likely["id"])


def lacks_pictures(source: CatalogSource) -> bool:
    """True if the first rows name pictures, and not one of them is in the upload.

    Raises:
        CatalogError: the catalogue cannot be read.
    """
    if not source.image_column:
        return False
    files = open_files(source.path)
    with open_rows(source, files, labelled=False) as (_, rows):
        named = [row.image for row in itertools.islice(rows, LOOKED_AT) if row.image]
    return bool(named) and not any(files.names.find(name).path is not None for name in named)
