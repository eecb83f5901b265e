"""Medians and spreads of repeated measurements, and Markdown tables of them."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

NONE = "–"


class Summary(NamedTuple):
    """The median and the range of a repeated measurement.

    Args:
        median: median of the values.
        least: smallest value.
        most: largest value.
        repeats: number of values.
    """

    median: float
    least: float
    most: float
    repeats: int

    def text(self, digits: int = 1) -> str:
        """``median (least to most)``; only the median if there is one value."""
        middle = f"{self.median:,.{digits}f}"
        return middle if self.repeats == 1 else f"{middle} ({self.least:,.{digits}f} to {self.most:,.{digits}f})"


def summarise(values: Sequence[float]) -> Summary | None:
    """Return the median and the range; None for no values."""
    return Summary(statistics.median(values), min(values), max(values), len(values)) if values else None


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Divide two series round by round, so that a drift of the machine changes both alike."""
    return [a / b for a, b in zip(above, below, strict=False) if b > 0]


def figure(values: Sequence[float], digits: int = 1) -> str:
    """Write the median and the range of the values, or a dash for no values."""
    found = summarise(values)
    return found.text(digits) if found else NONE


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
