"""Write a report as Markdown that also reads well in a terminal: tables are padded, the catalogue's text is escaped."""

from collections.abc import Sequence

from training.reporting.document.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Drawn,
    Figure,
    Finder,
    Paragraph,
    Section,
    Table,
    Tile,
    Tiles,
)
from training.system.markdown import INVISIBLE, escape, padded_table

__all__ = ["INVISIBLE", "escape", "padded_table", "render_markdown", "render_table"]

FINDER_TEXT = "The HTML report shows them, with filters."


def render_markdown(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    *,
    figures: str = "figures",
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """The whole document.

    Args:
        figures: folder of the figures, relative to the document.
        lead: the first sentences, above the subtitle; "" for none.
        facts: names and values below it: run, catalogue, date, command.
    """
    parts = [f"# {escape(title)}", *([f"**{escape(lead)}**"] if lead else []), escape(subtitle)]
    if facts:
        parts.append("\n".join(f"- {escape(name)}: {escape(value)}" for name, value in facts))
    for section in sections:
        parts += [f"## {escape(section.title)}", *(_render_block(block, figures) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def render_table(block: Table) -> str:
    """A block's table without its caption."""
    return padded_table(
        [escape(column.name) for column in block.columns],
        [[_render_cell(cell) for cell in row] for row in block.rows[: block.first]],
        right=[number for number, column in enumerate(block.columns) if column.number],
    )


def _render_block(block: Block, figures: str) -> str:  # noqa: PLR0911 - one for each kind
    if isinstance(block, Figure | Drawn):
        return _render_figure(block.figure if isinstance(block, Drawn) else block, figures)
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
        case Finder():
            return FINDER_TEXT


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
