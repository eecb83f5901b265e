"""Write a report as Markdown that also reads well in a terminal: tables are padded, the catalogue's text is escaped."""

import re
from collections.abc import Collection, Sequence

from training.reporting.document.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Figure,
    Paragraph,
    Products,
    Section,
    Table,
    Tile,
    Tiles,
)

# Control characters, and characters that change the direction of the text that follows.
INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def render_markdown(title: str, subtitle: str, sections: Sequence[Section], *, figures: str = "figures") -> str:
    """The whole document.

    Args:
        figures: folder of the figures, relative to the document.
    """
    parts = [f"# {escape(title)}", escape(subtitle)]
    for section in sections:
        parts += [f"## {escape(section.title)}", *(_render_block(block, figures) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def padded_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """A Markdown table with padded cells.

    Args:
        header: names of the columns.
        rows: each has as many cells as the header.
        right: numbers of the columns to align right.
    """
    widths = [max(3, *map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if number in right else "-" * width for number, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def render_table(block: Table) -> str:
    """A block's table without its caption."""
    return padded_table(
        [escape(column.name) for column in block.columns],
        [[_render_cell(cell) for cell in row] for row in block.rows[: block.first]],
        right=[number for number, column in enumerate(block.columns) if column.number],
    )


def escape(text: str) -> str:
    """One line of text in which no character starts Markdown, HTML, a link or a formula."""
    visible = INVISIBLE.sub("", " ".join(str(text).split()))
    escaped = re.sub(r"([\\`*_\[\]<>|#&$~])", r"\\\1", visible)
    return re.sub(r"(?<=www)\.|:(?=//)|(?<=\w)@(?=\w)", r"\\\g<0>", escaped)


def _render_block(block: Block, figures: str) -> str:
    if isinstance(block, Figure | Products):
        return _render_figure(block.figure if isinstance(block, Products) else block, figures)
    match block:
        case Paragraph():
            return escape(block.text)
        case Bullets():
            return "\n".join(f"- {escape(item)}" for item in block.items)
        case Code():
            return "\n".join(f"    {line}" for line in INVISIBLE.sub("", block.text).splitlines())
        case Tiles():
            return "\n".join(_render_tile(tile) for tile in block.tiles)
        case Table():
            return _render_captioned_table(block)


def _render_tile(tile: Tile) -> str:
    detail = f" ({escape(tile.detail)})" if tile.detail else ""
    return f"- **{escape(tile.value)}** {escape(tile.name)}{detail}"


def _render_captioned_table(block: Table) -> str:
    left = len(block.rows) - len(block.rows[: block.first])
    rest = f"{left:,} more rows are in the HTML report." if left else ""
    return "\n\n".join(part for part in (escape(block.caption), render_table(block), rest) if part)


def _render_figure(figure: Figure, figures: str) -> str:
    picture = f"![{escape(figure.alt)}]({figures}/{figure.file})"
    return f"{picture}\n\n{escape(figure.caption)}" if figure.caption else picture


def _render_cell(cell: Cell) -> str:
    strong = cell.text and cell.tone in ("good", "bad", "strong")
    return f"**{escape(cell.text)}**" if strong else escape(cell.text)
