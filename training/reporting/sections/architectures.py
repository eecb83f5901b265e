"""The section with the diagrams of early, intermediate and late fusion, with the widths of a run.

Boxes lie on a grid. Columns count from left to right. Row 1 holds the picture, row -1 the title, row 0 both.
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import nn

from training.models.early import EarlyFusion
from training.models.intermediate import IntermediateFusion
from training.reporting.document.blocks import Figure, Paragraph, Section
from training.reporting.figures.style import INK, MUTED, drawing, fit_text
from training.reporting.results.model_names import model_style
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData

STEP, BOX_WIDTH = 1.72, 1.38
ROW, BOX_HEIGHT = 0.74, 0.56
IMAGE, TEXT, BOTH = (model_style(name).colour for name in ("image", "text", "early"))
PLAIN = "#999999"


class Widths(NamedTuple):
    """The sizes that a run's diagrams show.

    Args:
        image: width of the picture's features.
        text: width of the title's features.
        cells: number of cells in a row of the picture's square grid.
        classes: C.
    """

    image_encoder: str
    image: int
    text_encoder: str
    text: int
    cells: int
    classes: int


class Box(NamedTuple):
    """A block of a diagram.

    Args:
        column: from 0.
        row: from -1 to 1.
        text: one or two lines.
        after: keys of the boxes that it reads.
    """

    column: float
    row: float
    text: str
    colour: str
    after: Sequence[str] = ()


class Diagram(NamedTuple):
    """An architecture: its boxes by key, and what it does when the picture or title is missing."""

    title: str
    missing: str
    boxes: Mapping[str, Box]


def architectures(data: ReportData) -> Iterator[Section]:
    """The section with diagrams of the fusions; they show the widths of the first run."""
    widths = _widths(data.run)
    if widths is not None:
        draw_architectures(data.figures / "architectures.png", widths)
        figure = Figure("architectures.png", "Block diagrams of early, intermediate and late fusion")
        yield Section("architectures", "The three fusions", [Paragraph("The numbers are widths of this run."), figure])


def _widths(run: RunResults) -> Widths | None:
    """The widths of a model with two towers; None if the run has none."""
    for name in run.models:
        path = run.folder / name / "architecture.json"
        architecture = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if architecture.get("image_encoder") and architecture.get("text_encoder"):
            return Widths(
                image_encoder=architecture["image_encoder"],
                image=architecture["image_width"],
                text_encoder=Path(run.record.arguments["text_encoder"]).name,
                text=architecture["text_encoder"]["hidden_size"],
                cells=run.record.arguments["image_size"] // 32,
                classes=len(run.labels),
            )
    return None


def draw_architectures(path: Path, widths: Widths) -> None:
    """Draw early, intermediate and late fusion, one below the other. Data flows from left to right."""
    diagrams = [early_fusion(widths), intermediate_fusion(widths), late_fusion(widths)]
    with drawing(path, width=11.2, height=2.82 * len(diagrams), layout="constrained") as figure:
        for axes, diagram in zip(figure.subplots(len(diagrams), 1), diagrams, strict=True):
            _draw_diagram(axes, diagram)


def early_fusion(widths: Widths) -> Diagram:
    """The features of both towers are normalised and concatenated; one hidden layer follows."""
    both, hidden = widths.image + widths.text, _default(EarlyFusion, "hidden")
    return Diagram(
        "Early fusion: concatenate the features",
        "corrects the sum of the single models' logits; a learned vector replaces a missing picture or title",
        {
            **_towers(widths, f"mean of cells\n{widths.image}", f"[CLS]\n{widths.text}"),
            "image norm": Box(3, 1, "LayerNorm", IMAGE, ["image"]),
            "text norm": Box(3, -1, "LayerNorm", TEXT, ["text"]),
            "join": Box(4, 0, f"concatenate\n{both}", BOTH, ["image norm", "text norm"]),
            "hidden": Box(5, 0, f"linear, GELU\n{hidden}", BOTH, ["join"]),
            "classes": Box(6, 0, f"linear, + singles,\n{widths.classes} classes", BOTH, ["hidden"]),
        },
    )


def intermediate_fusion(widths: Widths) -> Diagram:
    """The picture's cells attend to the title's tokens and a learned null key."""
    width, heads = _default(IntermediateFusion, "width"), _default(IntermediateFusion, "heads")
    return Diagram(
        "Intermediate fusion: the picture attends to the title",
        "corrects the sum of the single models' logits; without a title, the null key is the only key",
        {
            **_towers(widths, f"cells\n{widths.cells} × {widths.cells} × {widths.image}", f"tokens\nT × {widths.text}"),
            "cells": Box(3, 1, f"project: queries\n{widths.cells**2} × {width}", IMAGE, ["image"]),
            "tokens": Box(3, -1, f"project: keys,\nvalues  T × {width}", TEXT, ["text"]),
            "null": Box(3, 0, f"learned null key\n1 × {width}", PLAIN),
            "attention": Box(4, 0, f"cross-attention\n{heads} heads", BOTH, ["cells", "null", "tokens"]),
            "join": Box(5, 0, f"concatenate means,\n[CLS]: 3 × {width}", BOTH, ["cells", "attention", "tokens"]),
            "classes": Box(6, 0, f"MLP, + singles,\n{widths.classes} classes", BOTH, ["join"]),
        },
    )


def late_fusion(widths: Widths) -> Diagram:
    """Two trained models are calibrated; their probabilities are averaged."""
    return Diagram(
        "Late fusion: average the probabilities",
        "without a picture or title, the other model's answer stands",
        {
            **_towers(widths, f"image model\n{widths.classes} logits", f"text model\n{widths.classes} logits"),
            "image scaled": Box(3, 1, "divide by its\ntemperature", IMAGE, ["image"]),
            "text scaled": Box(3, -1, "divide by its\ntemperature", TEXT, ["text"]),
            "image softmax": Box(4, 1, "softmax", IMAGE, ["image scaled"]),
            "text softmax": Box(4, -1, "softmax", TEXT, ["text scaled"]),
            "image weight": Box(5, 1, "× w", IMAGE, ["image softmax"]),
            "text weight": Box(5, -1, "× (1 − w)", TEXT, ["text softmax"]),
            "classes": Box(6, 0, f"sum\n{widths.classes} classes", BOTH, ["image weight", "text weight"]),
        },
    )


def _towers(widths: Widths, image: str, text: str) -> dict[str, Box]:
    return {
        "picture": Box(0, 1, "picture\n3 × H × W", PLAIN),
        "title": Box(0, -1, "title\nT tokens", PLAIN),
        "image encoder": Box(1, 1, f"{widths.image_encoder}\nCNN", IMAGE, ["picture"]),
        "text encoder": Box(1, -1, f"{widths.text_encoder}\nBERT", TEXT, ["title"]),
        "image": Box(2, 1, image, IMAGE, ["image encoder"]),
        "text": Box(2, -1, text, TEXT, ["text encoder"]),
    }


def _default(module: type[nn.Module], argument: str) -> int:
    return int(inspect.signature(module).parameters[argument].default)


def _draw_diagram(axes: Axes, diagram: Diagram) -> None:
    axes.set(xlim=(-0.05, 6 * STEP + BOX_WIDTH + 0.05), ylim=(-1.4, 1.6), aspect="equal")
    axes.axis("off")
    axes.text(0, 1.34, diagram.title, size=11, weight="bold")
    axes.text(6 * STEP + BOX_WIDTH, -1.33, diagram.missing, ha="right", size=8, color=MUTED)
    for box in diagram.boxes.values():
        for name in box.after:
            _draw_arrow(axes, diagram.boxes[name], box)
        axes.add_patch(
            FancyBboxPatch(
                (box.column * STEP, box.row * ROW - BOX_HEIGHT / 2),
                BOX_WIDTH,
                BOX_HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=f"{box.colour}26",
                edgecolor=box.colour,
                linewidth=1.3,
            )
        )
        text = "\n".join(fit_text(line, width=1.22, size=8) for line in box.text.split("\n"))
        axes.text(box.column * STEP + BOX_WIDTH / 2, box.row * ROW, text, ha="center", va="center", size=8, color=INK)


def _draw_arrow(axes: Axes, start: Box, end: Box) -> None:
    """Draw an arrow from a box's right edge to the next one's left edge.

    An arrow that skips a column runs along its row and ends at the upper or lower edge.
    """
    tail = (start.column * STEP + BOX_WIDTH, start.row * ROW)
    if end.column - start.column > 1:
        edge = 1 if start.row > end.row else -1
        head = (end.column * STEP + BOX_WIDTH / 2, end.row * ROW + edge * BOX_HEIGHT / 2)
        style = "angle,angleA=0,angleB=90,rad=6"
    else:
        head = (end.column * STEP, end.row * ROW + 0.12 * (start.row - end.row))
        style = "arc3"
    axes.add_patch(
        FancyArrowPatch(
            tail,
            head,
            connectionstyle=style,
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=0,
            shrinkB=0,
            color="#777777",
            linewidth=1,
        )
    )
