"""What a report is made of before it is Markdown or HTML: sections of text, tables, figures and products.

All text here is plain. Both writers escape it, so titles and labels of any kind can stand anywhere.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Literal

from training.reporting.figures.products import Card

Tone = Literal["", "good", "bad", "muted", "strong"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: what is shown.
        sort: what a sortable table sorts by; None sorts by the text.
        tone: how it is set off.
    """

    text: str
    sort: float | None = None
    tone: Tone = ""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table; numbers are aligned right."""

    name: str
    number: bool = False


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Code:
    """A command, to be copied."""

    kind: ClassVar[str] = "code"
    text: str


@dataclasses.dataclass(frozen=True)
class Tile:
    """One number that stands out.

    Args:
        value: the number with its unit.
        name: what it is.
        detail: its interval, or what to compare it with.
    """

    value: str
    name: str
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """The numbers that a reader in a hurry takes away."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Args:
        columns: one or more.
        rows: as many cells each as there are columns.
        caption: a line above it.
        sortable: whether a click on a column's name sorts it (HTML).
        first: rows that Markdown shows; None shows all, as HTML always does.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    sortable: bool = False
    first: int | None = None


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Args:
        file: its name in the folder of figures.
        alt: what it shows, for who cannot see it.
        caption: a line below it.
    """

    kind: ClassVar[str] = "figure"
    file: str
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Group:
    """Products under a heading."""

    heading: str
    cards: Sequence[Card]


@dataclasses.dataclass(frozen=True)
class Products:
    """Products with what was said of them: cards in HTML, the drawn figure of the same cards in Markdown."""

    kind: ClassVar[str] = "products"
    groups: Sequence[Group]
    figure: Figure


Block = Paragraph | Bullets | Code | Tiles | Table | Figure | Products


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report.

    Args:
        key: unique, a valid anchor.
        title: one line.
        blocks: in order.
    """

    key: str
    title: str
    blocks: Sequence[Block]

    @property
    def figures(self) -> list[str]:
        """Names of the figures' files."""
        drawn = [block.figure if isinstance(block, Products) else block for block in self.blocks]
        return [block.file for block in drawn if isinstance(block, Figure)]
