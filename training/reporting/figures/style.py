"""The look of all figures: colours, fonts, text that fits its space, and the PNG file."""

import bisect
import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from training.system.storage import atomic_path

# Green and orange, dark enough for text. A mark beside them repeats the meaning without colour.
RIGHT, WRONG = "#00775A", "#C24A00"
MARKS = {True: "✓", False: "✗"}
INK, MUTED, FADED, FAINT = "#222222", "#6B6B6B", "#B5B5B5", "#E4E4E4"
RESOLUTION = 140

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
    "text.color": INK,
    "text.parse_math": False,  # a title with two dollar signs is not a formula
    "savefig.facecolor": "white",
    "legend.frameon": False,
}
# Titles come in any script. Installed fonts of this list follow DejaVu Sans.
_SCRIPTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Devanagari")


@contextmanager
def drawing(path: Path, *, width: float, height: float, layout: str | None = "constrained") -> Iterator[Figure]:
    """Yield a figure of ``width`` x ``height`` inches; write it as PNG if the block ends without an error.

    It needs no display and does not change matplotlib's settings.
    """
    with mpl.rc_context({**_STYLE, "font.family": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box
        figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]
        yield figure
        with atomic_path(path) as partial:
            figure.savefig(partial, format="png", dpi=RESOLUTION, bbox_inches="tight", pad_inches=0.08)


def square_axes(figure: Figure, *, left: float, bottom: float, side: float) -> Axes:
    """Add axes from 0 to 1 without ticks, for a picture. The place and size are in inches."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    return axes


def draw_text(
    figure: Figure,
    text: str,
    *,
    left: float,
    top: float,
    width: float,
    size: float,
    lines: int = 1,
    bold: bool = False,
    color: str = INK,
) -> int:
    """Draw text below and to the right of a corner, in inches. Text that does not fit is cut.

    Returns:
        The number of lines drawn.
    """
    across, up = figure.get_size_inches()
    rows = fit_text(text, width=width, size=size, lines=lines, bold=bold).split("\n")
    for number, row in enumerate(rows):
        baseline = top - (0.95 + 1.25 * number) * size / 72
        figure.text(left / across, baseline / up, row, size=size, weight="bold" if bold else "normal", color=color)
    return len(rows)


def fit_text(text: str, *, width: float, size: float, lines: int = 1, bold: bool = False) -> str:
    """Break a text into at most ``lines`` lines of ``width`` inches; "…" replaces the rest.

    ``size`` is the font size in points. Call it inside :func:`drawing`.
    """
    words, rows = text.split(), [""]
    while words:
        longer = f"{rows[-1]} {words[0]}".strip()
        if _text_width(longer, size=size, bold=bold) <= width:
            rows[-1] = longer
            words.pop(0)
        elif rows[-1] and len(rows) < lines:
            rows.append("")
        else:
            rows[-1] = _cut(longer, width=width, size=size, bold=bold)
            break
    return "\n".join(rows)


@functools.cache
def _fonts() -> list[str]:
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _SCRIPTS if name in installed)]


def _text_width(text: str, *, size: float, bold: bool) -> float:
    """Inches."""
    font = FontProperties(family=_fonts(), size=size, weight="bold" if bold else "normal")
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def _cut(text: str, *, width: float, size: float, bold: bool) -> str:
    def needed(length: int) -> float:
        return _text_width(f"{text[:length]}…", size=size, bold=bold)

    longest = bisect.bisect_right(range(len(text) + 1), width, key=needed) - 1
    return f"{text[: max(longest, 0)].rstrip()}…"
