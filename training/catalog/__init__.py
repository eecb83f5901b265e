"""Read catalogues: a table and its pictures, checked row by row. Also draw the built-in catalogue.

Client code imports only the names of this module; they load no heavy library.
"""

from training.catalog.files import CatalogError, CatalogFiles, RowError, open_files
from training.catalog.images import LIMITS, decode_picture
from training.catalog.rows import CatalogRow, CatalogSource, open_rows
from training.catalog.table import escape_formula

__all__ = [
    "LIMITS",
    "CatalogError",
    "CatalogFiles",
    "CatalogRow",
    "CatalogSource",
    "RowError",
    "decode_picture",
    "escape_formula",
    "open_files",
    "open_rows",
]
