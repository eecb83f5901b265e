"""Markdown tables, and a repeated measurement as a cell of one."""

from collections.abc import Sequence

from benchmarks.server.report.summary import Summary

NONE = "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def figure(found: Summary | None, digits: int = 1) -> str:
    """Median and range, or a dash where nothing was measured."""
    return NONE if found is None else found.text(digits)
