"""Rows of a catalogue with the roles of their cells: id, picture, title, label. The cells are checked, not the picture.

Training and scoring use the same definition of a row. Scoring needs no labels and reads catalogues that do not fit into
memory. This module loads no model library and no picture.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from training.catalog.files import LIMITS, CatalogError, CatalogFiles, RowError, safe_path
from training.catalog.table import IMAGE_COLUMN, KAGGLE_ID, KAGGLE_TITLE, CatalogTable, open_table

TEXT_COLUMN = "text"
LABEL_COLUMN = "label"
ID_COLUMN = KAGGLE_ID
KAGGLE_LABEL = "articleType"
# Cells that mean "no value" for a further attribute; compared without case.
NO_VALUE = frozenset({"", "na", "n/a", "nan", "null"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogSource:
    """The path of a catalogue and the names of its columns; enough to read it again.

    Args:
        path: a CSV or Parquet, a folder that holds one, or a zip that holds a CSV.
        image_column: column with the picture's path, relative to the table; the Kaggle layout has none.
        text_column: column with the title; ``productDisplayName`` in the Kaggle layout.
        label_column: column of the main attribute; None takes ``label``, or ``articleType`` in the Kaggle layout. In a
            list with commas, the columns after the first become ``attribute_columns``.
        id_column: column with the product's id; None takes ``id`` if there is one, else the row's line in the file.
        attribute_columns: columns of the further attributes; a row needs no value there.
    """

    path: str
    image_column: str = IMAGE_COLUMN
    text_column: str = TEXT_COLUMN
    label_column: str | None = None
    id_column: str | None = None
    attribute_columns: Sequence[str] = ()

    @property
    def target_columns(self) -> list[str]:
        """The columns of the A attributes, the main one first; "" if its column is not known yet."""
        return [self.label_column or "", *self.attribute_columns]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**dataclasses.asdict(self), "attribute_columns": list(self.attribute_columns)}


class CatalogRow(NamedTuple):
    """One row with its cells by role.

    Args:
        line: the line in the file where the row starts, from 1; in a Parquet the row's number.
        id: of the product.
        image: path of the picture relative to the table; "" for none.
        text: the title; "" for none.
        label: value of the main attribute; "" if labels are not read.
        fault: the reason why the row cannot be used; None if it can.
        attributes: a value for each of :attr:`CatalogSource.attribute_columns`; "" for none.
    """

    line: int
    id: str
    image: str
    text: str
    label: str
    fault: RowError | None = None
    attributes: Sequence[str] = ()


def attribute_value(cell: str) -> str:
    """The value of a further attribute in a cell; "" for none."""
    value = cell.strip()
    return "" if value.casefold() in NO_VALUE else value


class SeenIds(Protocol):
    """Maps each id to the first line that has it; a ``dict[str, int]`` will do."""

    def setdefault(self, id: str, line: int, /) -> int: ...


@contextlib.contextmanager
def open_rows(
    source: CatalogSource, files: CatalogFiles, *, labelled: bool = True, seen: SeenIds | None = None
) -> Iterator[tuple[CatalogSource, Iterator[CatalogRow]]]:
    """Open a catalogue and read its rows lazily.

    Args:
        labelled: each row needs a label, and the table needs a column of pictures and one of titles. False reads no
            labels, and one of the two columns is enough.
        seen: keeps the ids, to find duplicates; None keeps them in memory.

    Returns:
        ``source`` with the columns that were found, and the rows.

    Raises:
        CatalogError: the catalogue cannot be used; also while it is read.
    """
    with files.open_table() as stream:
        table = open_table(stream, name=files.table_name, image_column=source.image_column)
        found = _resolved(source, table, files.table_name, labelled=labelled)
        yield found, _rows(found, table, {} if seen is None else seen, labelled=labelled)


def _resolved(source: CatalogSource, table: CatalogTable, name: str, *, labelled: bool) -> CatalogSource:
    """Fill in the names of the columns, and check that the table has them."""
    found = dataclasses.replace(
        source,
        text_column=KAGGLE_TITLE if table.is_kaggle and source.text_column == TEXT_COLUMN else source.text_column,
        label_column=source.label_column or (KAGGLE_LABEL if table.is_kaggle else LABEL_COLUMN) if labelled else None,
        id_column=source.id_column or (ID_COLUMN if ID_COLUMN in table.header else None),
    )
    if not labelled:
        found = dataclasses.replace(found, attribute_columns=())
        if not table.is_kaggle:
            found = _without_missing_modality(found, table.header)
    found = _with_several_labels(found, table.header, name)
    image = KAGGLE_ID if table.is_kaggle else found.image_column
    for column in (image, found.text_column, found.label_column, found.id_column, *found.attribute_columns):
        if column:
            _check_column(column, table.header, name)
    return found


def _without_missing_modality(source: CatalogSource, header: Sequence[str]) -> CatalogSource:
    """Set the image or the text column to "" if it has its default name and the table does not have it."""
    if source.image_column == IMAGE_COLUMN not in header and source.text_column in header:
        return dataclasses.replace(source, image_column="")
    if source.text_column == TEXT_COLUMN not in header and source.image_column in header:
        return dataclasses.replace(source, text_column="")
    return source


def _with_several_labels(source: CatalogSource, header: Sequence[str], name: str) -> CatalogSource:
    """Split a label column that lists several columns; a name with a comma that the table has stays whole."""
    if source.label_column is not None and source.label_column not in header and not source.attribute_columns:
        first, *further = [column.strip() for column in source.label_column.split(",")]
        source = dataclasses.replace(source, label_column=first, attribute_columns=further)
    targets = [source.label_column, *source.attribute_columns]
    if "" in targets or len(set(targets)) < len(targets):
        raise CatalogError(f"{name}: each column to predict must be named once, got {targets}")
    return source


def _check_column(column: str, header: Sequence[str], name: str) -> None:
    if column not in header:
        hint = "" if len(header) > 1 else " (cells are separated by commas)"
        columns = ", ".join(map(repr, header))
        raise CatalogError(f"{name} has no column {column!r}; its columns are {columns}{hint}")
    if header.count(column) > 1:
        raise CatalogError(f"{name} has the column {column!r} {header.count(column)} times: rename all but one")


def _rows(source: CatalogSource, table: CatalogTable, seen: SeenIds, *, labelled: bool) -> Iterator[CatalogRow]:
    place = {column: position for position, column in enumerate(table.header)}
    roles = (source.id_column, KAGGLE_ID if table.is_kaggle else source.image_column, source.text_column)
    wanted = [place[column] if column else None for column in (*roles, source.label_column)]
    further = [place[column] for column in source.attribute_columns]
    for row in table.rows:
        if row.fault is not None:
            yield CatalogRow(row.line, "", "", "", "", row.fault)
            continue
        id, image, text, label = ("" if position is None else row.cells[position].strip() for position in wanted)
        image = f"images/{image}.jpg" if table.is_kaggle else image
        product = CatalogRow(row.line, id if source.id_column else str(row.line), image, text, label)
        product = product._replace(attributes=[attribute_value(row.cells[position]) for position in further])
        try:
            first_line = seen.setdefault(id, row.line) if source.id_column else row.line
            _check_cells(product, first_line, labelled=labelled)
        except RowError as error:
            product = product._replace(fault=error)
        yield product


def _check_cells(product: CatalogRow, first_line: int, *, labelled: bool) -> None:
    if not product.id:
        raise RowError("id_empty", "the id is empty")
    if first_line != product.line:
        raise RowError("id_duplicate", f"line {first_line} has the id {product.id!r} already")
    if labelled and not product.label:
        raise RowError("label_empty", "the label is empty")
    if not product.image and not product.text:
        raise RowError("product_empty", "neither a picture nor a title")
    if len(product.text) > LIMITS.max_text_chars:
        raise RowError("text_too_long", f"the title has more than {LIMITS.max_text_chars} characters")
    safe_path(product.image)
