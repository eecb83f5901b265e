"""Medians and spreads of repeated measurements."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """A measurement that was repeated.

    Args:
        median: of the repeats.
        least: of them.
        most: of them.
        repeats: how many there were.
    """

    median: float
    least: float
    most: float
    repeats: int

    def text(self, digits: int = 1) -> str:
        """``median (least to most)``; the median alone where nothing was repeated."""
        middle = f"{self.median:,.{digits}f}"
        return middle if self.repeats == 1 else f"{middle} ({self.least:,.{digits}f} to {self.most:,.{digits}f})"


def summarise(values: Sequence[float]) -> Summary | None:
    """Median and range; None of nothing."""
    return Summary(statistics.median(values), min(values), max(values), len(values)) if values else None


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Of two series that were measured in the same rounds: a drift of the machine meets both alike."""
    return [a / b for a, b in zip(above, below, strict=False) if b > 0]
