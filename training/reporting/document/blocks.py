"""A report's content, independent of its format: sections with text, tables, figures and products.

All text is plain. The HTML and Markdown writers escape it, so titles and labels may hold any characters.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from training.reporting.figures.products import ProductCard

Tone = Literal["", "good", "bad", "muted", "strong"]


class Cell(NamedTuple):
    """A cell of a table.

    Args:
        sort: the number that a sortable table sorts by; None sorts by the text.
    """

    text: str
    sort: float | None = None
    tone: Tone = ""

    @classmethod
    def mean(cls, value: Mapping[str, Any], *, scale: float = 100, digits: int = 1) -> "Cell":
        """The scaled mean, and the standard deviation if there are several runs.

        Args:
            value: as from :func:`training.reporting.results.model_comparison.mean_and_std`.
            scale: factor of the visible numbers; 100 for percent.
            digits: decimals.
        """
        spread = "" if value["std"] is None else f" ± {scale * value['std']:,.{digits}f}"
        return cls(f"{scale * value['mean']:,.{digits}f}{spread}", value["mean"])


class Column(NamedTuple):
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
    """A command that readers can copy."""

    kind: ClassVar[str] = "code"
    text: str


class Tile(NamedTuple):
    """A number in large type.

    Args:
        value: the number with its unit.
        name: its name.
        detail: its interval or a reference.
    """

    value: str
    name: str
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """The most important numbers, for readers in a hurry."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Args:
        columns: one or more.
        rows: each has one cell for each column.
        caption: a line above the table.
        sortable: True: a click on a column's name sorts the table (HTML).
        first: number of rows in Markdown; None for all. HTML always has all.
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
        file: name in the folder of figures.
        alt: description for readers who cannot see it.
        caption: a line below the figure.
    """

    kind: ClassVar[str] = "figure"
    file: str
    alt: str
    caption: str = ""


class Group(NamedTuple):
    """Products under a heading."""

    heading: str
    cards: Sequence[ProductCard]


@dataclasses.dataclass(frozen=True)
class Products:
    """Products with the models' answers: cards in HTML, a figure of the same cards in Markdown."""

    kind: ClassVar[str] = "products"
    groups: Sequence[Group]
    figure: Figure


Block = Paragraph | Bullets | Code | Tiles | Table | Figure | Products


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report.

    Args:
        key: unique, a valid anchor.
    """

    key: str
    title: str
    blocks: Sequence[Block]

    @property
    def figures(self) -> list[str]:
        """Names of the figures' files."""
        drawn = [block.figure if isinstance(block, Products) else block for block in self.blocks]
        return [block.file for block in drawn if isinstance(block, Figure)]
