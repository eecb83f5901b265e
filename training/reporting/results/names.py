"""How a report names, describes and draws each model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

BASELINE = "baseline"
MAJORITY = "majority"
SINGLES = ("image", "text")
MAIN = ("image", "text", "early", "intermediate", "late")
SHOWN_FIRST = ("intermediate", "late", "early")


class Named(NamedTuple):
    """The name, description and drawing style of a model.

    Args:
        display: its name in the report.
        description: one line.
        colour: from the palettes of Okabe & Ito and of Tol, which people with colour blindness can distinguish.
        line: matplotlib's line style; it distinguishes the model without colour.
        marker: matplotlib's marker; likewise.
    """

    display: str
    description: str
    colour: str = "#555555"
    line: Any = "-"
    marker: str = "o"


NAMES = {
    "image": Named("image", "picture alone: CNN → linear", "#E69F00", (0, (5, 1.5)), "s"),
    "text": Named("text", "title alone: BERT → linear", "#56B4E9", (0, (1, 1)), "D"),
    "early": Named("early", "features of both, concatenated → MLP", "#009E73", "-", "^"),
    "intermediate": Named("intermediate", "the picture's cells attend to the title's tokens", "#0072B2", "-", "o"),
    "late": Named("late", "weighted average of the probabilities of image and text", "#CC79A7", (0, (4, 1, 1, 1)), "v"),
    "gated": Named(
        "gated", "ablation: a learned gate weighs picture and title, feature by feature", "#882255", "-", "P"
    ),
    "single_key": Named(
        "single key",
        "control: the pooled title is the only key, so attention has no choice",
        "#B8860B",
        (0, (3, 1, 1, 1, 1, 1)),
        "X",
    ),
    BASELINE: Named("TF-IDF + SVM", "title alone: word counts, a linear SVM, no network", "#555555", (0, (2, 2)), "d"),
    MAJORITY: Named("majority class", "always the most frequent training label", "#B5B5B5", (0, (1, 3)), "."),
}


def named(model: str) -> Named:
    """The style of a model. A model without an entry keeps its own name and is grey."""
    return NAMES.get(model, Named(model, ""))


def display(model: str) -> str:
    """A model's name in the report."""
    return named(model).display


def by_interest(models: Sequence[str]) -> list[str]:
    """Models in the report's order: the featured model, other fusions, single models, then ablations and controls."""
    known = [name for name in reversed(MAIN) if name in models]
    return list(dict.fromkeys([shown_model(models), *known, *models]))


def shown_model(models: Sequence[str]) -> str:
    """The model whose answers a report shows product by product: the one served by default, or else another fusion."""
    return next((name for name in SHOWN_FIRST if name in models), models[-1])
