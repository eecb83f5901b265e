"""A report's content, independent of its format: sections with text, tables, figures and products.

All text is plain. The HTML and Markdown writers escape it, so titles and labels may hold any characters.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from training.reporting.figures.products import ProductCard

Tone = Literal["", "good", "bad", "muted", "strong"]


class Cell(NamedTuple):
    """A cell of a table.

    Args:
        sort: the number that a sortable table sorts by; None sorts by the text.
        link: an address within the report (HTML), from :mod:`training.reporting.document.links`.
    """

    text: str
    sort: float | None = None
    tone: Tone = ""
    link: str = ""

    def linked(self, link: str) -> "Cell":
        """The same cell with a link."""
        return self._replace(link=link)

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
        link: an address within the report (HTML).
    """

    value: str
    name: str
    detail: str = ""
    link: str = ""


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
        marked: number of the row that stands out; None for none.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    sortable: bool = False
    first: int | None = None
    marked: int | None = None


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


class Interval(NamedTuple):
    """A share with its interval, all 0..1.

    Args:
        link: to the products behind it.
    """

    mean: float
    low: float
    high: float
    link: str


class IntervalRow(NamedTuple):
    """A row of a chart: a name and an interval for each axis."""

    name: str
    intervals: Sequence[Interval]
    marked: bool = False


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Intervals on axes that end at 100 %: rows that can be clicked in HTML, a figure in Markdown.

    Args:
        axes: names of the quantities; every row has an interval for each.
    """

    kind: ClassVar[str] = "intervals"
    axes: Sequence[str]
    rows: Sequence[IntervalRow]
    figure: Figure

    def start(self, axis: int) -> float:
        """Where an axis begins: the tenth below its lowest value."""
        lowest = min(row.intervals[axis].low for row in self.rows)
        return max(0, math.floor(10 * lowest - 1e-9) / 10)


class MatrixCell(NamedTuple):
    """A number of products, its share of the row (0..1), and the link to them."""

    number: int
    share: float
    link: str


@dataclasses.dataclass(frozen=True)
class Matrix:
    """True classes by row, predicted ones by column: a table with links in HTML, a figure in Markdown.

    Args:
        rows: name and cells of each row, as many as columns.
    """

    kind: ClassVar[str] = "matrix"
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[MatrixCell]]]
    figure: Figure


@dataclasses.dataclass(frozen=True)
class Finder:
    """All products with filters; HTML only.

    Args:
        content: JSON-able; read by ``finder.js``.
        sheets: WebP files of small pictures.
    """

    kind: ClassVar[str] = "finder"
    content: Mapping[str, Any]
    sheets: Sequence[bytes]


Block = Paragraph | Bullets | Code | Tiles | Table | Figure | Products | Intervals | Matrix | Finder
Drawn = Products | Intervals | Matrix


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
        drawn = [block.figure if isinstance(block, Drawn) else block for block in self.blocks]
        return [block.file for block in drawn if isinstance(block, Figure)]
