"""Figures of a run: products with their answers, confusion, calibration, attention."""

import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from PIL import Image, ImageOps

from training.figure_style import COLOURS, FAINT, INK, RIGHT, WRONG, figure
from training.metrics import reliability, risk_coverage
from training.run_results import RunResults

MAX_CONFUSION_CLASSES = 25
TILE = 160


class ProductTile(NamedTuple):
    """One product of a grid.

    Args:
        image: encoded picture, or None.
        title: as in the catalogue.
        lines: below the title: text and whether it is right.
    """

    image: bytes | None
    title: str
    lines: Sequence[tuple[str, bool]]


def draw_products(path: Path, tiles: Sequence[ProductTile], *, columns: int = 6) -> None:
    """A grid of products with what was said of them, right answers in green, wrong ones in orange."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    most_lines = max(len(tile.lines) for tile in tiles)
    with figure(path, width=columns * 1.9, height=rows * (2.35 + 0.16 * most_lines)) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(tiles) :]:
            axes.axis("off")
        for axes, tile in zip(grid.flat, tiles, strict=False):
            _draw_tile(axes, tile)
        drawn.subplots_adjust(hspace=0.05, wspace=0.12)


def draw_confusion(path: Path, truth: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Row-normalised confusion matrix; of many classes, only those with the most confusions among them."""
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, (truth, predicted), 1)
    shown = _most_confused(counts)
    counts, names = counts[np.ix_(shown, shown)], [labels[row] for row in shown]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 0.34 * len(names)
    with figure(path, width=side + 0.6, height=side) as drawn:
        axes = drawn.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted", ylabel="true")
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)
        if len(names) < len(labels):
            axes.set_title(f"the {len(names)} of {len(labels)} classes with the most confusions")


def draw_calibration(path: Path, results: RunResults) -> None:
    """Reliability diagram (a dot a bin, its area the share of products) and risk-coverage curve of every model."""
    with figure(path, width=9, height=3.8) as drawn:
        left, right = drawn.subplots(1, 2)
        left.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1, zorder=0)
        for name, answers in results.answers.items():
            if answers.probabilities is None:
                continue
            shares, confidence, correct = reliability(answers.probabilities, results.truth)
            used = shares > 0
            left.scatter(confidence[used], correct[used], s=8 + 250 * shares[used], color=COLOURS[name], alpha=0.6)
            coverage, risk = risk_coverage(answers.probabilities, results.truth)
            right.plot(coverage, risk, color=COLOURS[name], label=name)
        left.set(
            xlabel="confidence",
            ylabel="accuracy",
            title="does a score mean what it says?",
            xlim=(0, 1.03),
            ylim=(-0.03, 1.05),
        )
        right.set(
            xlabel="products answered, most confident first", ylabel="error rate", title="how far can it be trusted?"
        )
        for axes in (left, right):
            axes.xaxis.set_major_formatter(PercentFormatter(1))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
            axes.grid(color=FAINT)
        right.legend(loc="upper left")


def draw_attention(
    path: Path, image: bytes, tokens: Sequence[str], weights: NDArray[np.float32], *, title: str
) -> None:
    """Where in the picture each title token, and the null key, is attended to.

    Args:
        path: PNG to write.
        image: encoded picture.
        tokens: K names, the null key first.
        weights: (cells, K), rows sum to 1; cells are a square grid, row by row.
        title: of the figure.
    """
    side = round(len(weights) ** 0.5)
    square = ImageOps.pad(_decode(image), (TILE, TILE), color="white")
    columns = min(6, len(tokens) + 1)
    rows = -(-(len(tokens) + 1) // columns)
    with figure(path, width=columns * 1.5, height=rows * 1.75 + 0.3) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        grid.flat[0].imshow(square)
        grid.flat[0].set_title("picture", fontsize=8)
        for axes, token, cells in zip(grid.flat[1:], tokens, weights.T, strict=False):
            heat = Image.fromarray(cells.reshape(side, side)).resize((TILE, TILE), Image.Resampling.BICUBIC)
            axes.imshow(ImageOps.grayscale(square), cmap="gray", vmin=0, vmax=400)
            axes.imshow(np.asarray(heat), cmap="inferno", alpha=0.6, vmin=0, vmax=float(weights.max()))
            axes.set_title(f"{token}  {cells.mean():.0%}", fontsize=8)
        drawn.suptitle(fill(title, 80), fontsize=9)


def _draw_tile(axes: Axes, tile: ProductTile) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RIGHT if all(right for _, right in tile.lines) else WRONG, linewidth=1.5)
    if tile.image is None:
        axes.imshow(np.full((TILE, TILE, 3), 245, dtype=np.uint8))
        axes.text(TILE / 2, TILE / 2, "no picture", ha="center", va="center", color="#888888")
    else:
        axes.imshow(ImageOps.pad(_decode(tile.image), (TILE, TILE), color="white"))
    axes.text(0, -0.05, fill(tile.title, 30, max_lines=2), transform=axes.transAxes, va="top", fontsize=6.5)
    for number, (line, right) in enumerate(tile.lines):
        axes.text(
            0,
            -0.27 - 0.1 * number,
            line,
            transform=axes.transAxes,
            va="top",
            fontsize=6.5,
            color=RIGHT if right else WRONG,
        )


def _decode(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image)).convert("RGB")


def _most_confused(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(counts) <= MAX_CONFUSION_CLASSES:
        return np.arange(len(counts))
    wrong = counts - np.diag(np.diag(counts))
    return np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:MAX_CONFUSION_CLASSES])
