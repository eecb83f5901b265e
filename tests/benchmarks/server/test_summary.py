"""Medians, spreads, ratios within a round, percentiles."""

import math

import pytest

from benchmarks.server.load.task import percentile
from benchmarks.server.report.summary import Summary, ratios, summarise


def test_a_summary_is_the_median_with_its_range() -> None:
    assert summarise([3.0, 1.0, 10.0, 2.0]) == Summary(2.5, 1.0, 10.0, 4)
    assert summarise([]) is None


def test_a_single_measurement_shows_no_range() -> None:
    assert Summary(1234.56, 1234.56, 1234.56, 1).text() == "1,234.6"
    assert Summary(2.0, 1.5, 3.0, 3).text(2) == "2.00 (1.50 to 3.00)"


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that halves its speed changes both, and no ratio."""
    assert ratios([200.0, 100.0], [100.0, 50.0]) == [2.0, 2.0]
    assert ratios([200.0, 100.0], [100.0]) == [2.0]
    assert ratios([1.0], [0.0]) == []


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([10.0, 20.0, 30.0], 0.5) == 20.0
    assert percentile(list(range(101)), 0.99) == pytest.approx(99.0)
    assert math.isnan(percentile([], 0.5))
