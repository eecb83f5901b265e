"""Markdown that reads well in a terminal too: tables with even columns, and other people's words shown as they are."""

import re
from collections.abc import Collection, Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """A table with padded cells.

    Args:
        header: names of the columns.
        rows: cells, as many as the header has.
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


def escape(text: str) -> str:
    """One line of text in which nothing is taken for Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(str(text).split()))
