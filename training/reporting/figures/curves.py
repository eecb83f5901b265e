"""Accuracy of several models: lines over conditions or sizes in order, dots over conditions without an order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.reporting.figures.style import INK, drawing, fit_text
from training.reporting.results.model_names import model_style

PANELS = 3


class Curve(NamedTuple):
    """One panel.

    Args:
        title: the quantity on the horizontal axis.
        places: P positions from left to right.
        ticks: P names of the positions.
        values: by model, for each of P positions the values of all runs.
        axis: the quantity on the vertical axis.
    """

    title: str
    places: Sequence[float]
    ticks: Sequence[str]
    values: Mapping[str, Sequence[Sequence[float]]]
    axis: str = "accuracy %"


def draw_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Draw means as lines; the band behind a line spans all runs.

    Args:
        path: PNG to write.
        curves: one or more.
    """
    across = min(len(curves), PANELS)
    down = -(-len(curves) // across)
    with drawing(path, width=2.9 * across + 0.4, height=2.55 * down + 0.5) as figure:
        panels = figure.subplots(down, across, squeeze=False)
        for axes, curve in zip(panels.flat, curves, strict=False):
            _draw_curve(axes, curve)
        for axes in panels.flat[len(curves) :]:
            axes.set_visible(False)
        _legend(figure, list(dict.fromkeys(name for curve in curves for name in curve.values)))


def draw_dots(path: Path, curve: Curve) -> None:
    """Draw a row for each condition and a dot for each model. The first row is the reference.

    Args:
        path: PNG to write.
        curve: its places are the rows.
    """
    with drawing(path, width=8.4, height=1.1 + 0.36 * len(curve.places)) as figure:
        axes = figure.subplots()
        names = list(curve.values)
        for number, name in enumerate(names):
            look, shift = model_style(name), 0.34 * (number / max(len(names) - 1, 1) - 0.5)
            means = 100 * np.array([np.mean(values) for values in curve.values[name]])
            rows = np.array(curve.places) + shift
            axes.scatter(means, rows, s=26, color=look.colour, marker=look.marker, label=look.display, zorder=3)
        ticks = [fit_text(tick, width=2.6, size=9) for tick in curve.ticks]
        axes.set_yticks(curve.places, ticks, color=INK)
        axes.set_ylim(max(curve.places) + 0.5, min(curve.places) - 0.5)
        axes.hlines(np.array(curve.places[:-1]) + 0.5, *axes.get_xlim(), color="#EEEEEE", linewidth=0.8, zorder=0)
        axes.set_xlabel("accuracy %")
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        _legend(figure, names, lines=False)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    for name, values in curve.values.items():
        look = model_style(name)
        lowest, means, highest = (np.array([100 * of(runs) for runs in values]) for of in (np.min, np.mean, np.max))
        axes.fill_between(curve.places, lowest, highest, color=look.colour, alpha=0.15, linewidth=0)
        style = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        axes.plot(curve.places, means, linewidth=1.6, markersize=4, **style)
    axes.set_title(curve.title)
    axes.set_ylabel(curve.axis)
    axes.set_xticks(curve.places, curve.ticks)
    axes.grid(axis="y")
    axes.tick_params(length=0)


def _legend(figure: Figure, names: Sequence[str], *, lines: bool = True) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=model_style(name).colour,
            linestyle=model_style(name).line if lines else "",
            marker=model_style(name).marker,
            markersize=5,
            label=model_style(name).display,
        )
        for name in names
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(names), 8), handlelength=2.4 if lines else 1)
