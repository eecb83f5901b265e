"""How every figure looks, in one place: sizes, a colour-blind-safe palette, and how a figure is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

# Okabe & Ito's palette, which stays apart for every common kind of colour blindness.
COLOURS = {
    "image": "#E69F00",
    "text": "#56B4E9",
    "early": "#009E73",
    "intermediate": "#0072B2",
    "late": "#CC79A7",
    "baseline": "#7F7F7F",
}
RIGHT, WRONG, INK, FAINT = "#009E73", "#D55E00", "#222222", "#E8E8E8"

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "savefig.facecolor": "white",
    "legend.frameon": False,
}


@contextmanager
def figure(path: Path, *, width: float, height: float) -> Iterator[Figure]:
    """A figure of that size in inches, written as PNG when the block ends and closed in any case."""
    mpl.use("Agg")
    with mpl.rc_context(_STYLE):
        drawn = plt.figure(figsize=(width, height))
        try:
            yield drawn
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn.savefig(path, bbox_inches="tight")
        finally:
            plt.close(drawn)
