"""Read catalogues: a table and its pictures, checked row by row. Also draw the built-in catalogue.

Client code imports only the names of this module; they load no heavy library.
"""

from training.catalog.columns import likely_columns
from training.catalog.corrected import CorrectedTable, write_corrected
from training.catalog.files import LIMITS, CatalogError, CatalogFiles, RowError, decode_picture, open_files
from training.catalog.pictures.photograph import MAX_BYTES, shrunk
from training.catalog.presets import PRESETS
from training.catalog.rows import CatalogRow, open_rows, table_columns
from training.catalog.source import CatalogSource
from training.catalog.table import escape_formula, unescape_formula

__all__ = [
    "LIMITS",
    "MAX_BYTES",
    "PRESETS",
    "CatalogError",
    "CatalogFiles",
    "CatalogRow",
    "CatalogSource",
    "CorrectedTable",
    "RowError",
    "decode_picture",
    "escape_formula",
    "likely_columns",
    "open_files",
    "open_rows",
    "shrunk",
    "table_columns",
    "unescape_formula",
    "write_corrected",
]
