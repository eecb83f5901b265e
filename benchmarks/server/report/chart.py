"""The chart of a report: throughput of all systems, and our latency under load against the perfect queue."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.server.report.summary import summarise
from benchmarks.server.report.targets import rates
from benchmarks.server.systems.names import IN_PROCESS, NOOP, OURS

OWN, OTHER, BOUND = "#1f6feb", "#9aa4b2", "#d0d7de"


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw the chart of a report.

    Args:
        report: result of :func:`benchmarks.server.report.document.document`.
        path: ``.png`` file to write.
    """
    with mpl.rc_context({"font.size": 10}):
        figure = Figure(figsize=(11, 4.5), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _throughput(left, report)
        _latency(right, report)
        figure.savefig(path, dpi=110)


def _throughput(axes: Axes, report: dict[str, Any]) -> None:
    found = {name: summarise(rates(report, name)) for name in [IN_PROCESS, *report["systems"]] if name != NOOP}
    bars = sorted(((name, each) for name, each in found.items() if each), key=lambda bar: bar[1].median)
    names = [name for name, _ in bars]
    middles = [each.median for _, each in bars]
    below = [each.median - each.least for _, each in bars]
    above = [each.most - each.median for _, each in bars]
    colours = [OWN if name == OURS else BOUND if name == IN_PROCESS else OTHER for name in names]
    axes.barh(names, middles, xerr=[below, above], color=colours, error_kw={"ecolor": "#57606a", "capsize": 3})
    for row, value in enumerate(middles):
        axes.text(value, row + 0.28, f" {value:,.0f}", va="center", fontsize=9)
    axes.set_xlabel("products a second at saturation, picture and title")
    axes.spines[["top", "right"]].set_visible(False)


def _latency(axes: Axes, report: dict[str, Any]) -> None:
    entries = report["systems"].get(OURS, [])
    lines = [("p99_ms", "p99", OWN, "-"), ("perfect_p99_ms", "p99 of a perfect queue", OWN, ":"),
             ("p50_ms", "p50", OTHER, "-"), ("perfect_p50_ms", "p50 of a perfect queue", OTHER, ":")]  # fmt: skip
    for key, label, colour, style in lines:
        points: dict[float, list[float]] = {}
        for loop in (loop for entry in entries for loop in entry["open"] if key in loop):
            points.setdefault(100 * loop["load"], []).append(loop[key])
        middles = [each.median for load in sorted(points) if (each := summarise(points[load]))]
        axes.plot(sorted(points), middles, color=colour, linestyle=style, marker="o", markersize=4, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("load, % of saturation (random arrivals)")
    axes.set_ylabel("milliseconds")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
