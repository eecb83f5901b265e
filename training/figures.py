"""The charts of a report: confusion, reliability, risk and coverage.

Legend: N products, C classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from training.metrics import (
    PRECISION_TARGET,
    Classes,
    Probabilities,
    area_under_risk_coverage,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from training.report_style import FADED, INK, LINES, MODEL_COLOURS, MUTED, OTHER_COLOUR, WRONG, drawing, fit_text

MATRIX_CLASSES = 25
WORST_CONFUSIONS = 20
FEW = 10


def draw_confusion(path: Path, truth: Classes, predicted: Classes, labels: Sequence[str]) -> None:
    """Which class is taken for which: a matrix of up to ``MATRIX_CLASSES`` classes, of more the worst confusions.

    Args:
        path: PNG to write.
        truth: (N,).
        predicted: (N,).
        labels: C names.
    """
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, (truth, predicted), 1)
    if len(labels) <= MATRIX_CLASSES:
        _draw_matrix(path, counts, labels)
    else:
        _draw_worst(path, counts, labels)


def draw_reliability(path: Path, models: Mapping[str, tuple[Probabilities, Classes]]) -> None:
    """Confidence against accuracy, a panel a model; a dot a bin, its area the share of the products.

    A bin of fewer than ``FEW`` products is drawn hollow: its accuracy is chance.

    Args:
        path: PNG to write.
        models: by name, probabilities (N, C) and truth (N,).
    """
    with drawing(path, width=2.2 * len(models) + 0.5, height=2.75) as figure:
        panels = figure.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, (probabilities, truth)) in zip(panels, models.items(), strict=True):
            _draw_bins(axes, probabilities, truth, colour=MODEL_COLOURS.get(name, OTHER_COLOUR))
            axes.set_title(f"{name}   ECE {expected_calibration_error(probabilities, truth):.3f}")
            axes.set(xlim=(0, 1.08), ylim=(-0.05, 1.08), xlabel="confidence", aspect="equal")
            axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            _in_percent(axes)
        panels[0].set_ylabel("accuracy")


def draw_risk_coverage(path: Path, models: Mapping[str, tuple[Probabilities, Classes]]) -> None:
    """Error rate of the answers that are given, the most confident first, for each share of the products answered.

    Args:
        path: PNG to write.
        models: by name, probabilities (N, C) and truth (N,).
    """
    with drawing(path, width=8.4, height=3.7) as figure:
        axes, highest = figure.subplots(), 1.5 * (1 - PRECISION_TARGET)
        for name, (probabilities, truth) in models.items():
            coverage, risk = risk_coverage(probabilities, truth)
            area = area_under_risk_coverage(probabilities, truth)
            axes.plot(
                coverage,
                risk,
                linewidth=1.8,
                label=f"{name}  (area {area:.4f})",
                color=MODEL_COLOURS.get(name, OTHER_COLOUR),
                linestyle=LINES.get(name, "-"),
            )
            highest = max(highest, 1.1 * float(risk[coverage >= 0.1].max()))
        axes.axhline(1 - PRECISION_TARGET, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        precise = f" {100 * PRECISION_TARGET:.0f} %\n precision"
        axes.text(
            1, 1 - PRECISION_TARGET, precise, transform=axes.get_yaxis_transform(), va="center", color=MUTED, size=8
        )
        axes.set(xlim=(0, 1), ylim=(0, highest), xlabel="products answered, the most confident first")
        axes.set_ylabel("errors among the answers")
        axes.grid(axis="y")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1.02))
        _in_percent(axes)


def _draw_bins(axes: Axes, probabilities: Probabilities, truth: Classes, *, colour: str) -> None:
    shares, confidence, accuracy = reliability(probabilities, truth)
    many = shares * len(truth) >= FEW - 0.5
    few = (shares > 0) & ~many
    axes.plot([0, 1], [0, 1], color="#AAAAAA", linewidth=1, zorder=0)
    axes.scatter(confidence[few], accuracy[few], s=12, facecolor="white", edgecolor=FADED, linewidth=0.9)
    axes.vlines(confidence[many], confidence[many], accuracy[many], color=colour, linewidth=1.4)
    axes.scatter(confidence[many], accuracy[many], s=14 + 240 * shares[many], color=colour, alpha=0.8, linewidth=0)


def _draw_matrix(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.9 + 0.36 * len(labels)
    with drawing(path, width=side + 0.9, height=side + 0.3) as figure:
        axes = figure.subplots()
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [fit_text(label, width=1.7, size=8.5) for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=45, ha="right", rotation_mode="anchor", size=8.5)
        axes.set_yticks(range(len(labels)), names, size=8.5)
        axes.set(xlabel="predicted", ylabel="true")
        axes.tick_params(length=0, colors=INK)
        axes.set_xticks(np.arange(len(labels)) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(labels)) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", size=8, color=colour)
        bar = figure.colorbar(picture, ax=axes, fraction=0.035, pad=0.02, format=PercentFormatter(1, symbol=" %"))
        bar.set_label("of the true class")
        bar.outline.set_visible(False)


def _draw_worst(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    wrong = counts - np.diag(np.diag(counts))
    pairs = np.argwhere(wrong)
    amounts, sizes = wrong[tuple(pairs.T)], counts.sum(1)[pairs[:, 0]]
    order = np.lexsort((-amounts / sizes, -amounts))[:WORST_CONFUSIONS]
    pairs, amounts, sizes = pairs[order], amounts[order], sizes[order]
    with drawing(path, width=8.4, height=0.9 + 0.25 * max(len(pairs), 2)) as figure:
        axes, places = figure.subplots(), np.arange(len(pairs))
        axes.barh(places, amounts, color=WRONG, alpha=0.8, height=0.62)
        names = [f"{labels[true]}  →  {labels[said]}" for true, said in pairs]
        axes.set_yticks(places, [fit_text(name, width=3.4, size=9) for name in names], size=9)
        for place, (amount, size) in enumerate(zip(amounts, sizes, strict=True)):
            axes.text(
                amount, place, f" {amount} of {size}  ({100 * amount / size:.0f} %)", va="center", color=MUTED, size=8
            )
        axes.set(ylim=(max(len(pairs), 2) - 0.4, -0.6), xlim=(0, 1.3 * max(amounts, default=1)))
        kinds = np.count_nonzero(wrong)
        shown = f"the {len(pairs)} most frequent of {kinds}" if kinds > len(pairs) else f"all {kinds}"
        axes.set_title(f"true  →  predicted: {shown} confusions; {wrong.sum():,} of {counts.sum():,} answers are wrong")
        axes.tick_params(length=0, colors=INK)
        axes.xaxis.set_visible(False)
        axes.spines[["bottom", "left"]].set_visible(False)


def _in_percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{round(100 * value, 6):g} %")
    axes.tick_params(length=0)
