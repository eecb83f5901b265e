"""Block diagrams of the three fusion architectures."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from training.figure_style import COLOURS, INK, figure

Box = tuple[float, float, str, str]
Arrow = tuple[int, int]

BOX_WIDTH = 4.5

# Boxes are (x, y, text, colour) on a 10 x 6 canvas, arrows are (from, to) by the box's place in the list.
_IMAGE, _TEXT, _FUSED = COLOURS["image"], COLOURS["text"], COLOURS["early"]
_FUSIONS: dict[str, tuple[list[Box], list[Arrow]]] = {
    "early fusion": (
        [
            (2.4, 0.6, "picture\nCNN", _IMAGE),
            (7.6, 0.6, "title\nBERT", _TEXT),
            (2.4, 2.0, "mean cell\nLayerNorm", _IMAGE),
            (7.6, 2.0, "[CLS]\nLayerNorm", _TEXT),
            (5.0, 3.5, "concatenate", _FUSED),
            (5.0, 4.8, "MLP → classes", _FUSED),
        ],
        [(0, 2), (1, 3), (2, 4), (3, 4), (4, 5)],
    ),
    "intermediate fusion": (
        [
            (2.4, 0.6, "picture\nCNN", _IMAGE),
            (7.6, 0.6, "title\nBERT", _TEXT),
            (2.4, 2.0, "49 cells\nqueries", _IMAGE),
            (7.6, 2.0, "tokens + null key\nkeys, values", _TEXT),
            (5.0, 3.4, "cross-attention", _FUSED),
            (5.0, 4.8, "+ pooled towers\nMLP → classes", _FUSED),
        ],
        [(0, 2), (1, 3), (2, 4), (3, 4), (4, 5)],
    ),
    "late fusion": (
        [
            (2.4, 0.6, "picture\nCNN", _IMAGE),
            (7.6, 0.6, "title\nBERT", _TEXT),
            (2.4, 2.0, "image model", _IMAGE),
            (7.6, 2.0, "text model", _TEXT),
            (2.4, 3.4, "softmax(z / T)", _IMAGE),
            (7.6, 3.4, "softmax(z / T)", _TEXT),
            (5.0, 4.8, "w · p(image) +\n(1 − w) · p(text)", _FUSED),
        ],
        [(0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6)],
    ),
}


def draw_fusions(path: Path) -> None:
    """The three architectures side by side, data flowing upwards."""
    with figure(path, width=12, height=4) as drawn:
        for axes, (title, (boxes, arrows)) in zip(drawn.subplots(1, 3), _FUSIONS.items(), strict=True):
            _draw_blocks(axes, boxes, arrows)
            axes.set_title(title)


def _draw_blocks(axes: Axes, boxes: list[Box], arrows: list[Arrow]) -> None:
    axes.set(xlim=(0, 10), ylim=(0, 5.6))
    axes.axis("off")
    for start, end in arrows:
        (x, y, _, _), (to_x, to_y, _, _) = boxes[start], boxes[end]
        axes.annotate(
            "", (to_x, to_y - 0.42), (x, y + 0.42), arrowprops={"arrowstyle": "-|>", "color": "#888888", "shrinkB": 0}
        )
    for x, y, text, colour in boxes:
        axes.add_patch(
            FancyBboxPatch(
                (x - BOX_WIDTH / 2, y - 0.4),
                BOX_WIDTH,
                0.8,
                boxstyle="round,pad=0.05",
                facecolor=f"{colour}33",
                edgecolor=colour,
            )
        )
        axes.text(x, y, text, ha="center", va="center", fontsize=9, color=INK)
