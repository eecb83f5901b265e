"""Rows of a catalogue with the roles of their cells: id, picture, title, label. The cells are checked, not the picture.

Training and scoring use the same definition of a row. Scoring needs no labels and reads catalogues that do not fit into
memory. This module loads no model library and no picture.
"""

import contextlib
import csv
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from handlers.product_serving.titles.markup import plain_text
from training.catalog.columns import Table, resolve
from training.catalog.files import LIMITS, CatalogFiles, RowError
from training.catalog.formats.row import Reading, Row, Say, say_nothing
from training.catalog.labels import label_value
from training.catalog.notes import CatalogNotes
from training.catalog.picture_column import PictureColumn, Pictures, check_picture_path
from training.catalog.presets import MOST_LEVELS, PRESETS, category_levels, column_in, level_names
from training.catalog.related_rows import RawRow, Relations
from training.catalog.source import CatalogSource
from training.catalog.table import KAGGLE_ID, CatalogTable, open_table

# Levels that fewer rows have are not predicted unless they are asked for.
LEAST_LEVEL_SHARE = 0.5


class CatalogRow(NamedTuple):
    """One row with its cells by role.

    Args:
        line: the line in the file where the row starts, from 1; in Parquet, XML and a JSON list its number.
        id: of the product.
        image: path of the first picture relative to the table, or its place in a Parquet; "" for none.
        text: the title; "" for none.
        label: value of the main attribute; "" if labels are not read.
        fault: the reason why the row cannot be used; None if it can.
        attributes: a value for each of :attr:`CatalogSource.attribute_columns`; "" for none.
        pictures: paths of all pictures of the product, in their order; ``image`` is one of them.
    """

    line: int
    id: str
    image: str
    text: str
    label: str
    fault: RowError | None = None
    attributes: Sequence[str] = ()
    pictures: Sequence[str] = ()


class SeenIds(Protocol):
    """Maps each id to the first line that has it; a ``dict[str, int]`` will do."""

    def setdefault(self, id: str, line: int, /) -> int: ...


@contextlib.contextmanager
def open_rows(
    source: CatalogSource,
    files: CatalogFiles,
    *,
    labelled: bool = True,
    seen: SeenIds | None = None,
    say: Say = say_nothing,
    pictures: str = "first",
) -> Iterator[tuple[CatalogSource, Iterator[CatalogRow]]]:
    """Open a catalogue and read its rows lazily.

    Args:
        labelled: each row needs a label and an id of its own. False reads no labels, and rows may share an id.
        seen: keeps the ids, to find those that repeat; None keeps them in memory.
        say: gets each note for the owner once, the last ones after the last row.
        pictures: ``first`` or ``mean``, what is done with several of a product, for the note on them.

    Returns:
        ``source`` with the columns that were found, and the rows.

    Raises:
        CatalogError: the catalogue cannot be used; also while it is read.
    """
    source = _with_levels_as_labels(source, files, say) if labelled else source
    with open_source_table(source, files, say) as (table, reading):
        known = Table(
            name=files.table_name,
            header=table.header,
            is_kaggle=table.is_kaggle,
            has_titles=files.classes is None,
            unreadable=reading.unreadable,
        )
        found = resolve(source, known, labelled=labelled, say=say)
        if files.classes:
            say(files.classes.note)
        yield found, _rows(found, table, files, {} if seen is None else seen, labelled=labelled, say=say, use=pictures)


def table_columns(source: CatalogSource, files: CatalogFiles) -> list[str]:
    """The names of a catalogue's columns, with ``level1`` and so on for the levels of an export's category.

    Raises:
        CatalogError: the catalogue cannot be read.
    """
    with open_source_table(source, files, say_nothing) as (table, _):
        return list(table.header)


@contextlib.contextmanager
def open_source_table(source: CatalogSource, files: CatalogFiles, say: Say) -> Iterator[tuple[CatalogTable, Reading]]:
    """Open the table of a catalogue, with the levels of an export's category as further columns.

    Raises:
        CatalogError: it cannot be read; also while it is read.
    """
    reading = Reading(
        name=files.table_name,
        image_column=source.image_column,
        encoding=source.encoding,
        names=[name.strip() for name in next(csv.reader([source.header]))] if source.header else (),
        say=say,
    )
    with reading.closing as stack:
        stream = stack.enter_context(files.open_table())
        further = [(name, stack.enter_context(files.open_table(name))) for name in files.further_parts]
        table = open_table(
            stream, name=reading.name, image_column=source.image_column, reading=reading, further=further
        )
        yield _with_levels(table, source), reading


def _with_levels(table: CatalogTable, source: CatalogSource) -> CatalogTable:
    """The table with the levels of an export's category as further columns."""
    preset = PRESETS.get(source.format or "")
    if preset is None:
        return table
    header = list(table.header)
    if preset.levels:
        places = [header.index(each) for each in preset.levels if each in header]
        if len(places) < len(preset.levels):
            return table
        copied = (_with_further(row, [row.cells[place] for place in places] if row.cells else ()) for row in table.rows)
        return table._replace(header=[*header, *level_names(len(places))], rows=copied)
    columns = [column for each in preset.category if (column := column_in(header, [each]))]
    places = [header.index(column) for column in dict.fromkeys(columns)]
    if not places or set(level_names()) & set(header):
        return table

    def levelled(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            # An export may fill a less preferred column alone.
            cell = next((row.cells[place] for place in places if row.cells[place].strip()), "") if row.cells else ""
            levels = category_levels(cell, preset)
            yield _with_further(row, [*levels, *[""] * (MOST_LEVELS - len(levels))])

    return table._replace(header=[*header, *level_names()], rows=levelled(table.rows))


def _with_further(row: Row, cells: Sequence[str]) -> Row:
    return row if row.fault is not None else row._replace(cells=[*row.cells, *cells])


def _with_levels_as_labels(source: CatalogSource, files: CatalogFiles, say: Say) -> CatalogSource:
    """The source with the levels of an export's category as labels, where none are named.

    The first one that tells products apart is the main attribute, since each product has it.
    """
    preset = PRESETS.get(source.format or "")
    if preset is None or preset.levels or source.label_column is not None:
        return source
    values: list[Counter[str]] = [Counter() for _ in range(MOST_LEVELS)]
    with open_source_table(source, files, say_nothing) as (table, _):
        if not set(level_names()) <= set(table.header):
            return source
        for row in table.rows:
            for counts, value in zip(values, row.cells[-MOST_LEVELS:], strict=False):
                counts[value] += value != ""
    first = values[0].total()
    telling = {
        name: len(+counts)
        for name, counts in zip(level_names(), values, strict=True)
        if len(+counts) > 1 and counts.total() >= LEAST_LEVEL_SHARE * first
    }
    listed = ", ".join(f"{name} ({count:,} values)" for name, count in telling.items())
    say(f"the labels are the levels of the category: {listed or 'none has two values'}; --target names other columns")
    return dataclasses.replace(source, label_column=",".join(telling) or level_names()[0])


def _rows(
    source: CatalogSource,
    table: CatalogTable,
    files: CatalogFiles,
    seen: SeenIds,
    *,
    labelled: bool,
    say: Say,
    use: str,
) -> Iterator[CatalogRow]:
    notes = CatalogNotes(source.path, image_column=source.image_column)
    column = PictureColumn(files, notes, lambda: _picture_cells(source, files))
    relations = Relations(
        table.header, has_titles=bool(source.text_column), has_ids=bool(source.id_column), notes=notes
    )
    repeats = _Repeats(source.id_column or "", say)
    for row in relations.joined(_raw_rows(source, table)):
        yield _checked(row, source, column, seen, repeats=repeats if source.id_column else None, labelled=labelled)
    repeats.finish()
    for sentence in notes.sentences(pictures=use):
        say(sentence)


def _raw_rows(source: CatalogSource, table: CatalogTable) -> Iterator[RawRow]:
    place = {column: position for position, column in enumerate(table.header)}
    by_id = table.is_kaggle and bool(source.image_column)
    roles = (source.id_column, KAGGLE_ID if by_id else source.image_column, source.text_column)
    # Behind the cells of each row comes an empty one, for the roles without a column.
    none = len(table.header)
    id_at, image_at, text_at, label_at = (place[each] if each else none for each in (*roles, source.label_column))
    further = [(column, place[column]) for column in source.attribute_columns]
    for row in table.rows:
        if row.fault is not None:
            yield RawRow(row.line, "", "", "", (), fault=row.fault)
            continue
        cells = [*row.cells, ""]
        image, text = cells[image_at].strip(), cells[text_at].strip()
        image = f"images/{image}.jpg" if by_id else image
        if "<" in text or "&" in text:  # the models take HTML out too; here it shows which titles are empty, and equal
            text = plain_text(text).strip()
        attributes = [_label(source, column, cells[position]) for column, position in further] if further else ()
        own = cells[id_at].strip() if source.id_column else str(row.line)
        pictures = (image,) if image else ()
        yield RawRow(row.line, own, text, cells[label_at].strip(), pictures, attributes, row.cells, None)


def _picture_cells(source: CatalogSource, files: CatalogFiles) -> Iterator[str]:
    """Read the table once more, for the cells of pictures alone."""
    with open_source_table(source, files, say_nothing) as (table, _):
        yield from (cell for row in _raw_rows(source, table) for cell in row.pictures)


def _checked(
    row: RawRow,
    source: CatalogSource,
    column: PictureColumn,
    seen: SeenIds,
    *,
    repeats: "_Repeats | None",
    labelled: bool,
) -> CatalogRow:
    """The product of a row; ``repeats`` is None if a row's line is its id."""
    line, id, text, given, cells, attributes, _, fault = row
    label = _label(source, source.label_column, given)
    if fault is not None:
        return CatalogRow(line, id, "", text, label, fault, attributes)
    # This runs for each row of a large table; a name that is a file's own needs no further look.
    is_file = len(cells) == 1 and column.has(cells[0])
    pictures = Pictures(cells[0], cells) if is_file else column.read(cells)
    product = CatalogRow(line, id, pictures.image, text, label, None, attributes, pictures.all)
    try:
        first_line = seen.setdefault(id, line) if repeats is not None and id else line
        if labelled:
            _check_id(product, first_line)
        elif repeats is not None and first_line != line:
            repeats.add(product, first_line)
        if pictures.address and not text:
            raise column.without_title(pictures.address)
        _check_cells(product, source, given=given if labelled else None)
        if not is_file:
            check_picture_path(product.image)
    except RowError as error:
        return product._replace(image=product.image or pictures.address, fault=error)
    if pictures.address:
        column.used_by_title(pictures.address)
    return product


class _Repeats:
    """Counts the rows whose id an earlier row has, and says so once."""

    def __init__(self, column: str, say: Say) -> None:
        self._column, self._say = column, say
        self._count, self._first = 0, ""

    def add(self, product: CatalogRow, first_line: int) -> None:
        """Count a row."""
        self._first = self._first or f"{product.id!r} in the lines {first_line} and {product.line}"
        self._count += 1

    def finish(self) -> None:
        """Say how many there were."""
        if self._count:
            self._say(
                f"{self._count:,} rows have an id of the column {self._column!r} that an earlier row has, such as "
                f'{self._first}: each row is read, and --id-column "" takes its line for an id'
            )


def _check_id(product: CatalogRow, first_line: int) -> None:
    if not product.id:
        raise RowError("id_empty", 'the id is empty; --id-column "" takes the line for an id')
    if first_line != product.line:
        raise RowError(
            "id_duplicate",
            f'line {first_line} has the id {product.id!r} already; --id-column "" takes the line for an id',
        )


def _label(source: CatalogSource, column: str | None, cell: str) -> str:
    value = label_value(cell)
    return source.spellings.get(column or "", {}).get(value, value) if source.spellings else value


def _check_cells(product: CatalogRow, source: CatalogSource, *, given: str | None) -> None:
    if given is not None and not product.label:
        means = f"{given!r}, which means that there is none" if given else "empty"
        raise RowError("label_empty", f"the label is {means}")
    if not product.image and not product.text:
        read = [word for word, column in (("picture", source.image_column), ("title", source.text_column)) if column]
        raise RowError("product_empty", "neither a picture nor a title" if len(read) > 1 else f"no {read[0]}")
    if len(product.text) > LIMITS.max_text_chars:
        raise RowError("text_too_long", f"the title has more than {LIMITS.max_text_chars} characters")
