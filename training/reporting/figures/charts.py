"""The charts of a report: comparison of models, confusion matrix, reliability diagram, curves of several models.

Legend: N products, C classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.reporting.figures.style import FADED, INK, MUTED, drawing, fit_text
from training.reporting.results.model_names import BASELINE, MAJORITY, model_style
from training.scores.metrics import (
    PRECISION_TARGET,
    Classes,
    Probabilities,
    area_under_risk_coverage,
    expected_calibration_error,
    reliability,
    risk_coverage,
)

MATRIX_CLASSES = 20
OTHER_CLASSES = "any other"
FEW = 10
PANELS = 4
CURVE_PANELS = 3


def draw_comparison(path: Path, numbers: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw accuracy and macro-F1 of every model with their intervals, and a vertical line at the baseline.

    Args:
        numbers: as in :class:`training.reporting.results.model_comparison.ModelComparison`.
    """
    names = [name for name in numbers if name != MAJORITY]
    with drawing(path, width=8.4, height=1.0 + 0.3 * len(names)) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, metric, title in zip(panels, ("accuracy", "macro_f1"), ("accuracy", "macro-F1"), strict=True):
            for place, name in enumerate(names):
                _draw_interval(
                    axes, numbers[name][metric], place, colour=model_style(name).colour, marker=model_style(name).marker
                )
            if BASELINE in names:
                axes.axvline(
                    numbers[BASELINE][metric]["mean"], color=FADED, linewidth=1, linestyle=(0, (2, 2)), zorder=0
                )
            axes.set_title(title)
            axes.grid(axis="x")
            axes.spines["left"].set_visible(False)
            axes.xaxis.set_major_formatter(_percent)
            axes.xaxis.set_major_locator(MaxNLocator(6))
            axes.margins(x=0.08)
            _end_at(axes, "x", 1)
        panels[0].set_yticks(range(len(names)), [model_style(name).display for name in names], color=INK)
        panels[0].set_ylim(len(names) - 0.5, -0.5)


def draw_confusion(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Draw true against predicted classes. The colour shows the square root of the share of the true class.

    Args:
        counts: (C, C) products, or (C, C + 1): the last column holds answers of any other class.
        labels: C names.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    columns = [*labels, OTHER_CLASSES][: counts.shape[1]]
    side = 1.9 + 0.37 * len(labels)
    with drawing(path, width=side + 0.9, height=side + 0.3) as figure:
        axes = figure.subplots()
        picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
        for axis, names in ((axes.xaxis, columns), (axes.yaxis, labels)):
            axis.set_ticks(range(len(names)), [fit_text(name, width=1.7, size=8.5) for name in names], size=8.5)
            axis.set_ticks(np.arange(len(names)) - 0.5, minor=True)
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
        axes.set(xlabel="predicted", ylabel="true")
        axes.tick_params(colors=INK)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.spines[:].set_visible(False)
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.35 else INK
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", size=7, color=colour)
        bar = figure.colorbar(picture, ax=axes, fraction=0.035, pad=0.02, format=_percent, ticks=[0, 0.05, 0.2, 0.5, 1])
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)


def draw_reliability(path: Path, models: Mapping[str, tuple[Probabilities, Classes]]) -> None:
    """Draw accuracy by confidence: a panel for each model, a dot for each bin. A dot's area is its share of products.

    A bin with fewer than ``FEW`` products is hollow: its accuracy is mostly chance.

    Args:
        models: by name, probabilities (N, C) and truth (N,).
    """
    across = min(len(models), PANELS)
    down = -(-len(models) // across)
    with drawing(path, width=2.3 * across + 0.5, height=2.6 * down + 0.2) as figure:
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes, (name, (probabilities, truth)) in zip(panels.flat, models.items(), strict=False):
            _draw_bins(axes, probabilities, truth, colour=model_style(name).colour)
            axes.set_title(f"{model_style(name).display}   ECE {expected_calibration_error(probabilities, truth):.3f}")
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", aspect="equal")
            axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            axes.tick_params(labelbottom=True)
            _in_percent(axes)
        for axes in panels[:, 0]:
            axes.set_ylabel("accuracy")
        for axes in panels.flat[len(models) :]:
            axes.set_visible(False)


def draw_risk_coverage(path: Path, models: Mapping[str, tuple[Probabilities, Classes]]) -> None:
    """Draw the share of errors by the share of products answered, the most confident first.

    Args:
        models: by name, probabilities (N, C) and truth (N,).
    """
    with drawing(path, width=8.4, height=3.7) as figure:
        axes, highest = figure.subplots(), 1.5 * (1 - PRECISION_TARGET)
        for name, (probabilities, truth) in models.items():
            coverage, risk = risk_coverage(probabilities, truth)
            area, look = area_under_risk_coverage(probabilities, truth), model_style(name)
            label = f"{look.display}  (area {area:.4f})"
            axes.plot(coverage, risk, linewidth=1.8, label=label, color=look.colour, linestyle=look.line)
            highest = max(highest, 1.1 * float(risk[coverage >= 0.1].max()))
        axes.axhline(1 - PRECISION_TARGET, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        precise = f" {100 * PRECISION_TARGET:.0f} %\n precision"
        axes.text(
            1, 1 - PRECISION_TARGET, precise, transform=axes.get_yaxis_transform(), va="center", color=MUTED, size=8
        )
        axes.set(xlim=(0, 1), ylim=(0, highest), xlabel="products answered, the most confident first")
        axes.set_ylabel("errors among the answers")
        axes.grid(axis="y")
        axes.legend(loc="upper left", bbox_to_anchor=(1.09, 1.02))
        _in_percent(axes)


def _draw_interval(axes: Axes, value: Mapping[str, Any], place: int, *, colour: str, marker: str) -> None:
    axes.hlines(place, value["low"], value["high"], color=colour, linewidth=2)
    if len(value["runs"]) > 1:
        heights = place + 0.24 * np.ones(len(value["runs"]))
        axes.scatter(value["runs"], heights, s=10, facecolor="white", edgecolor=colour, linewidth=0.8, zorder=3)
    axes.scatter(value["mean"], place, s=34, color=colour, marker=marker, zorder=3, clip_on=False)


def _draw_bins(axes: Axes, probabilities: Probabilities, truth: Classes, *, colour: str) -> None:
    shares, confidence, accuracy = reliability(probabilities, truth)
    many = shares * len(truth) >= FEW - 0.5
    few = (shares > 0) & ~many
    axes.plot([0, 1], [0, 1], color="#AAAAAA", linewidth=1, zorder=0)
    axes.scatter(confidence[few], accuracy[few], s=12, facecolor="white", edgecolor=FADED, linewidth=0.9, clip_on=False)
    axes.vlines(confidence[many], confidence[many], accuracy[many], color=colour, linewidth=1.4)
    axes.scatter(
        confidence[many],
        accuracy[many],
        s=14 + 240 * shares[many],
        color=colour,
        alpha=0.8,
        linewidth=0,
        clip_on=False,
    )


def _end_at(axes: Axes, axis: str, highest: float) -> None:
    """No accuracy is above 100 %, so no axis is either."""
    low, high = getattr(axes, f"get_{axis}lim")()
    getattr(axes, f"set_{axis}lim")(low, min(high, highest))


def _percent(value: float, _: object = None) -> str:
    return f"{round(100 * value, 6):g} %"


def _in_percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_percent)


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
        curves: one or more.
    """
    across = min(len(curves), CURVE_PANELS)
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
        curve: its places are the rows.
    """
    with drawing(path, width=8.4, height=1.1 + 0.36 * len(curve.places)) as figure:
        axes = figure.subplots()
        names = list(curve.values)
        for number, name in enumerate(names):
            look, shift = model_style(name), 0.34 * (number / max(len(names) - 1, 1) - 0.5)
            means = 100 * np.array([np.mean(values) for values in curve.values[name]])
            rows = np.array(curve.places) + shift
            axes.scatter(
                means, rows, s=26, color=look.colour, marker=look.marker, label=look.display, zorder=3, clip_on=False
            )
        ticks = [fit_text(tick, width=2.6, size=9) for tick in curve.ticks]
        axes.set_yticks(curve.places, ticks, color=INK)
        axes.set_ylim(max(curve.places) + 0.5, min(curve.places) - 0.5)
        _end_at(axes, "x", 100)
        axes.hlines(np.array(curve.places[:-1]) + 0.5, *axes.get_xlim(), color="#EEEEEE", linewidth=0.8, zorder=0)
        axes.set_xlabel("accuracy %")
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        _legend(figure, names, lines=False)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    for name, values in curve.values.items():
        look = model_style(name)
        lowest, means, highest = (np.array([100 * of(runs) for runs in values]) for of in (np.min, np.mean, np.max))
        axes.fill_between(curve.places, lowest, highest, color=look.colour, alpha=0.15, linewidth=0)
        style = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        axes.plot(curve.places, means, linewidth=1.6, markersize=4, clip_on=False, **style)
    axes.set_title(curve.title)
    axes.set_ylabel(curve.axis)
    axes.set_xticks(curve.places, curve.ticks)
    _end_at(axes, "y", 100)
    axes.grid(axis="y")


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
