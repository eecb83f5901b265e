"""What a report calls every model, what it says of it, and in which colour and line it draws it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

BASELINE = "baseline"
MAJORITY = "majority"
SINGLES = ("image", "text")
MAIN = ("image", "text", "early", "intermediate", "late")
SHOWN_FIRST = ("intermediate", "late", "early")


class Named(NamedTuple):
    """A model as it is shown.

    Args:
        display: its name.
        what: one line.
        colour: of what is drawn of it; the palette is that of Okabe & Ito and of Tol, apart for every common kind of
            colour blindness.
        line: matplotlib's style of its line, so that colour is not the only thing that tells it apart.
        marker: likewise.
    """

    display: str
    what: str
    colour: str = "#555555"
    line: Any = "-"
    marker: str = "o"


NAMES = {
    "image": Named("image", "picture alone: CNN → linear", "#E69F00", (0, (5, 1.5)), "s"),
    "text": Named("text", "title alone: BERT → linear", "#56B4E9", (0, (1, 1)), "D"),
    "early": Named("early", "features of both, concatenated → MLP", "#009E73", "-", "^"),
    "intermediate": Named("intermediate", "the picture's cells attend to the title's tokens", "#0072B2", "-", "o"),
    "late": Named("late", "weighted average of image's and text's answers", "#CC79A7", (0, (4, 1, 1, 1)), "v"),
    "gated": Named(
        "gated", "ablation: a learned gate weighs picture against title, feature by feature", "#882255", "-", "P"
    ),
    "single_key": Named(
        "single key",
        "control: the pooled title as the only key, nothing to attend to",
        "#B8860B",
        (0, (3, 1, 1, 1, 1, 1)),
        "X",
    ),
    BASELINE: Named("TF-IDF + SVM", "title alone: word counts, a linear SVM, no network", "#555555", (0, (2, 2)), "d"),
    MAJORITY: Named("majority class", "always the most frequent training label", "#B5B5B5", (0, (1, 3)), "."),
}


def named(model: str) -> Named:
    """How a model is shown; one that has no entry goes by its own name, in grey."""
    return NAMES.get(model, Named(model, ""))


def display(model: str) -> str:
    """The name that readers see."""
    return named(model).display


def by_interest(models: Sequence[str]) -> list[str]:
    """The shown model first, then fusions before single models, ablations and controls last."""
    known = [name for name in reversed(MAIN) if name in models]
    return list(dict.fromkeys([shown_model(models), *known, *models]))


def shown_model(models: Sequence[str]) -> str:
    """The model whose answers are looked at one by one: the one served by default, else the next of the fusions."""
    return next((name for name in SHOWN_FIRST if name in models), models[-1])
