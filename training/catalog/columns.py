"""Which column of a table has which role: id, picture, title, label. None is left out in silence."""

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence

from training.catalog.formats.delimited import KAGGLE_ID, KAGGLE_TITLE, is_kaggle
from training.catalog.formats.errors import CatalogError
from training.catalog.formats.row import Say
from training.catalog.presets import PRESETS, column_in, recognised
from training.catalog.source import (
    ID_COLUMN,
    IMAGE_COLUMN,
    KAGGLE_LABEL,
    LABEL_COLUMN,
    TEXT_COLUMN,
    CatalogSource,
)

_OPTION = {"image": "--image-column", "text": "--text-column", "id": "--id-column", "label": ""}
_WORDS = {
    "image": ("image", "picture", "photo", "img", "pic", "bild", "resim"),
    "text": ("title", "name", "text", "description", "titel", "baslik"),
    "label": ("label", "category", "class", "type", "target", "kategori"),
    "id": ("id", "sku", "handle", "code", "key"),
}
_WITHOUT = {"image": "pictures", "text": "titles"}
_MOST_SUGGESTED = 3
_LOOKS_LIKE_DATA = re.compile(r"https?://|.*\.(jpe?g|png|webp|gif)$|-?\d+([.,]\d+)*$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """What is known of a table when its columns are chosen.

    Args:
        name: for messages.
        header: names of its columns.
        is_kaggle: it has the Kaggle layout, where the id names the picture.
        has_titles: False for folders of pictures, which have no titles by their nature.
        unreadable: columns that hold no texts: name -> what they hold.
    """

    name: str
    header: Sequence[str]
    is_kaggle: bool = False
    has_titles: bool = True
    unreadable: Mapping[str, str] = dataclasses.field(default_factory=dict)


def resolve(source: CatalogSource, table: Table, *, labelled: bool, say: Say) -> CatalogSource:
    """Fill in the names of the columns, and check that the table has them.

    A name that differs from a column in its case alone is that column; ``say`` gets a note then.

    Args:
        labelled: find the columns of the labels; False leaves them out.

    Raises:
        CatalogError: the table lacks a column, or has it twice; the message names those that are there.
    """
    found = _with_preset(source, table)
    found = dataclasses.replace(
        found,
        text_column=KAGGLE_TITLE if table.is_kaggle and found.text_column == TEXT_COLUMN else found.text_column,
        label_column=found.label_column or (KAGGLE_LABEL if table.is_kaggle else LABEL_COLUMN) if labelled else None,
        attribute_columns=found.attribute_columns if labelled else (),
    )
    if not table.has_titles and found.text_column == TEXT_COLUMN not in table.header:
        found = dataclasses.replace(found, text_column="")
    if not (found.image_column or found.text_column):
        raise CatalogError(f"{table.name}: a product needs a picture or a title: name --image-column or --text-column")
    if labelled:
        found = _with_several_labels(found, table.header, table.name)
    finder = _Finder(table, say, said_format=source.format)
    return dataclasses.replace(
        found,
        image_column=found.image_column if table.is_kaggle else finder.find("image", found.image_column),
        text_column=finder.find("text", found.text_column),
        label_column=finder.find("label", found.label_column) if found.label_column else None,
        attribute_columns=found.attribute_columns and [finder.find("label", each) for each in found.attribute_columns],
        id_column=_id_column(found, finder, table),
    )


def likely_columns(header: Sequence[str]) -> dict[str, str]:
    """The columns of a table that look like its pictures, titles and ids, to suggest them to a person.

    Args:
        header: names of its columns.

    Returns:
        A column for each of ``image``, ``text`` and ``id``; "" where none looks like it. In the Kaggle layout the id
        names the picture: there ``image`` is ``image``, which the table does not have.
    """
    if is_kaggle(header, IMAGE_COLUMN):
        return {"image": IMAGE_COLUMN, "text": KAGGLE_TITLE, "id": KAGGLE_ID}
    preset = PRESETS.get(recognised(header) or "")
    if preset is not None:
        wanted = {"image": preset.image, "text": preset.text, "id": preset.id}
        return {role: column_in(header, names) or "" for role, names in wanted.items()}
    found: dict[str, str] = {}
    for role, name in (("id", ID_COLUMN), ("image", IMAGE_COLUMN), ("text", TEXT_COLUMN)):
        others = [each for each in header if each not in found.values()]
        found[role] = column_in(others, [name]) or next(iter(_suggested(role, name, others)), "")
    return found


def _with_preset(source: CatalogSource, table: Table) -> CatalogSource:
    """The columns of an export, where the owner has named no others."""
    if source.format is None:
        return source
    if source.format not in PRESETS:
        raise CatalogError(f"--format {source.format!r} is not known; known are {', '.join(PRESETS)}")
    preset, header = PRESETS[source.format], table.header
    image, text, id = (column_in(header, each) for each in (preset.image, preset.text, preset.id))
    if text is None and source.text_column == TEXT_COLUMN:
        raise CatalogError(
            f"{table.name} is no export of the format {source.format}: it has no column {preset.text[0]!r}; its "
            f"columns are {_listed(header)}"
        )
    return dataclasses.replace(
        source,
        image_column=image if image and source.image_column == IMAGE_COLUMN else source.image_column,
        text_column=text if text and source.text_column == TEXT_COLUMN else source.text_column,
        id_column=id if source.id_column is None else source.id_column,
    )


def _with_several_labels(source: CatalogSource, header: Sequence[str], name: str) -> CatalogSource:
    """Split a label column that lists several columns; a name with a comma that the table has stays whole."""
    if source.label_column is not None and source.label_column not in header and not source.attribute_columns:
        first, *further = [column.strip() for column in source.label_column.split(",")]
        source = dataclasses.replace(source, label_column=first, attribute_columns=further)
    targets = [source.label_column, *source.attribute_columns]
    if "" in targets or len(set(targets)) < len(targets):
        raise CatalogError(f"{name}: each column to predict must be named once, got {targets}")
    return source


def _id_column(source: CatalogSource, finder: "_Finder", table: Table) -> str | None:
    """The column of the ids; "" if the owner asked for line numbers, None if the table has none."""
    if source.id_column is not None:
        return finder.find("id", source.id_column)
    if table.is_kaggle:
        return KAGGLE_ID
    return finder.find("id", ID_COLUMN) if finder.has(ID_COLUMN) else None


class _Finder:
    """Finds the columns that are asked for by their names."""

    def __init__(self, table: Table, say: Say, *, said_format: str | None) -> None:
        self._table, self._say, self._format = table, say, said_format

    def has(self, column: str) -> bool:
        """True if exactly one column has the name, in any case."""
        return column in self._table.header or len(self._alike(column)) == 1

    def find(self, role: str, column: str) -> str:
        """The name of a column as the table writes it; "" for a column that is not wanted."""
        table = self._table
        if not column:
            return ""
        if column not in table.header:
            alike = self._alike(column)
            if len(alike) != 1:
                raise CatalogError(self._missing(role, column))
            self._say(f"{table.name} has no column {column!r}: {alike[0]!r} is taken for it")
            column = alike[0]
        if table.header.count(column) > 1:
            times = table.header.count(column)
            raise CatalogError(f"{table.name} has the column {column!r} {times} times: rename all but one")
        return column

    def _alike(self, column: str) -> list[str]:
        return [each for each in dict.fromkeys(self._table.header) if each.casefold().strip() == column.casefold()]

    def _missing(self, role: str, column: str) -> str:
        table, option = self._table, _OPTION[role]
        hint = "" if len(table.header) > 1 else " (cells are separated by commas)"
        parts = [f"{table.name} has no column {column!r}; its columns are {_listed(table.header)}{hint}"]
        if column in table.unreadable:
            parts.append(f"a column {column!r} is there, but it holds {table.unreadable[column]}, no text")
        preset = recognised(table.header) if self._format is None else None
        if preset:
            parts.append(f"it looks like an export that --format {preset} reads")
        elif _is_data(table.header):
            parts.append(
                "its first line looks like a product: if it has no header, name its columns with --header A,B,C"
            )
        elif suggested := _suggested(role, column, table.header):
            # A label has another option in each command.
            named = [repr(each) if role == "label" else f"{option} {_quoted(each)}" for each in suggested]
            parts.append(f"is it {' or '.join(named)}?")
        if role in _WITHOUT:
            parts.append(f'{option} "" goes on without {_WITHOUT[role]}')
        return "; ".join(parts)


def _suggested(role: str, column: str, header: Sequence[str]) -> list[str]:
    """Columns whose names are close to the missing one, or have a word of its role."""
    folded: dict[str, list[str]] = {}
    for name in filter(None, header):
        folded.setdefault(name.casefold(), []).append(name)
    close = difflib.get_close_matches(column.casefold(), folded, n=_MOST_SUGGESTED, cutoff=0.75)
    by_word = [name for word in _WORDS[role] for name in folded if word in re.split(r"[\W_]+", name)]
    inside = [name for word in _WORDS[role] if len(word) > 2 for name in folded if word in name]
    found = dict.fromkeys([*close, *by_word, *inside])
    return [name for each in found for name in dict.fromkeys(folded[each])][:_MOST_SUGGESTED]


def _is_data(header: Sequence[str]) -> bool:
    """True if a header has cells that name no column: numbers, addresses or pictures."""
    return any(_LOOKS_LIKE_DATA.match(cell) for cell in header)


def _listed(header: Sequence[str], most: int = 40) -> str:
    more = f" and {len(header) - most} more" if len(header) > most else ""
    return ", ".join(map(repr, header[:most])) + more


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search(r"\W", name) else name
