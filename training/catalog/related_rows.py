"""Rows that belong together: further pictures of the product above them, and variants of a parent.

Shopify writes a product's further pictures and variants as rows with its id (``Handle``) and without a title;
WooCommerce writes variants with an id of their own and the parent's in ``Parent``. This runs before ids are checked, so
further rows are no repeated ids.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from training.catalog.files import RowError
from training.catalog.notes import FURTHER, INHERITED, CatalogNotes

POSITION_COLUMNS = ("image position", "image_position", "picture position", "picture_position", "image_index")
# Columns that name the parent; a row is known there by the columns behind it, or by the same one.
PARENT_COLUMNS: Mapping[str, Sequence[str]] = {
    "parent": ("sku", "id"),
    "parent sku": ("sku",),
    "parent_sku": ("sku",),
    "parent id": ("id",),
    "parent_id": ("id",),
    "item_group_id": ("item_group_id",),
    "item group id": ("item group id",),
    "handle": ("handle",),
}
MOST_PARENTS = 100_000
MOST_PICTURES = 100


class RawRow(NamedTuple):
    """A row with its cells by role, before anything is checked.

    Attributes:
        line, id, text, label, attributes, fault: as in :class:`training.catalog.rows.CatalogRow`.
        pictures: cells of the column of pictures; of a product that further rows were added to, several.
        cells: all cells, for the columns that :class:`Relations` knows.
    """

    line: int
    id: str
    text: str
    label: str
    pictures: Sequence[str]
    attributes: Sequence[str] = ()
    cells: Sequence[str] = ()
    fault: RowError | None = None


class Relations:
    """Brings together the rows of a table that belong to one product or one parent.

    Args:
        header: of the table; columns are recognised without regard to case.
        has_titles: the table has a column of titles. Without one only a column of positions tells further rows.
        has_ids: the table has a column of ids.
        notes: counts what was brought together.
    """

    def __init__(self, header: Sequence[str], *, has_titles: bool, has_ids: bool, notes: CatalogNotes) -> None:
        places = {name.strip().casefold(): place for place, name in enumerate(header)}
        self._position = next((places[name] for name in POSITION_COLUMNS if name in places), None)
        self._parent = next((places[name] for name in PARENT_COLUMNS if name in places), None)
        parent = next((name for name in PARENT_COLUMNS if name in places), "")
        self._keys = [(name, places[name]) for name in PARENT_COLUMNS.get(parent, ()) if name in places]
        self._group = places.get(parent) if PARENT_COLUMNS.get(parent) == (parent,) else None
        self._joins = has_ids and (has_titles or self._position is not None)
        self._parents: OrderedDict[str, RawRow] = OrderedDict()
        self._notes = notes

    def joined(self, rows: Iterable[RawRow]) -> Iterator[RawRow]:
        """The products: rows without their further rows, and variants with their parent's title."""
        products = self._without_further(rows) if self._joins else iter(rows)
        return products if self._parent is None else map(self._with_title, products)

    def _without_further(self, rows: Iterable[RawRow]) -> Iterator[RawRow]:
        product: RawRow | None = None
        further: list[RawRow] = []
        for row in rows:
            if product is not None and (row.id == product.id or not row.id) and self._is_further(row, product):
                self._notes.add(FURTHER, f"line {row.line} of {product.id!r}")
                if len(further) < MOST_PICTURES:
                    further.append(row)
                continue
            if product is not None:
                yield self._with_pictures(product, further) if further else product
            product, further = row, []
        if product is not None:
            yield self._with_pictures(product, further) if further else product

    def _is_further(self, row: RawRow, product: RawRow) -> bool:
        """No title or, with a position, the same one; nothing that contradicts the product; not the same row again."""
        if row.fault is not None or product.fault is not None or not product.id:
            return False
        if not row.id and (self._group is None or row.cells[self._group] != product.cells[self._group]):
            return False
        positioned = self._position is not None and bool(row.cells[self._position].strip())
        if row.text and not (positioned and row.text == product.text):
            return False
        pairs = zip((row.label, *row.attributes), (product.label, *product.attributes), strict=True)
        if any(own and own != other for own, other in pairs):
            return False
        another = bool(row.pictures) and row.pictures[0] != (product.pictures[0] if product.pictures else "")
        return another or positioned or not (row.label or row.text or row.pictures)

    def _with_pictures(self, product: RawRow, further: Sequence[RawRow]) -> RawRow:
        rows = [product, *further]
        if self._position is not None:
            rows.sort(key=lambda row: _number(row.cells[self._position or 0]))
        return product._replace(pictures=list(dict.fromkeys(cell for row in rows for cell in row.pictures)))

    def _with_title(self, row: RawRow) -> RawRow:
        if row.fault is not None or self._parent is None:
            return row
        if row.text:
            self._remember(row)
            return row
        parent = self._parents.get(row.cells[self._parent].strip())
        if parent is None:
            return row
        self._notes.add(INHERITED, f"line {row.line} of line {parent.line}")
        attributes = [own or other for own, other in zip(row.attributes, parent.attributes, strict=True)]
        return row._replace(text=parent.text, label=row.label or parent.label, attributes=attributes)

    def _remember(self, row: RawRow) -> None:
        for name, place in self._keys:
            if key := row.cells[place].strip():
                # WooCommerce names a parent by its SKU, or as id:123.
                for known in (key, f"id:{key}") if name == "id" else (key,):
                    self._parents.setdefault(known, row)
        while len(self._parents) > MOST_PARENTS:
            self._parents.popitem(last=False)


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        return math.inf
    return math.inf if math.isnan(number) else number
