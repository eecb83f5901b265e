"""Markdown that also reads well in a terminal: padded tables, and other people's text that stays text."""

import re
from collections.abc import Collection, Sequence

# Control characters, and characters that change the direction of the text that follows.
INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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


def escape(text: str) -> str:
    """One line of text in which no character starts Markdown, HTML, a link or a formula."""
    visible = INVISIBLE.sub("", " ".join(str(text).split()))
    escaped = re.sub(r"([\\`*_\[\]<>|#&$~])", r"\\\1", visible)
    return re.sub(r"(?<=www)\.|:(?=//)|(?<=\w)@(?=\w)", r"\\\g<0>", escaped)
