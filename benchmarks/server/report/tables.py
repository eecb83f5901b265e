"""Markdown tables and their cells."""

from collections.abc import Sequence

from benchmarks.server.report.summary import Summary

NONE = "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def figure(found: Summary | None, digits: int = 1) -> str:
    """Write the median and the range, or a dash if nothing was measured."""
    return NONE if found is None else found.text(digits)
