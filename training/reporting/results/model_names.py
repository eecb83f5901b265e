"""How a report names, describes and draws each model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

BASELINE = "baseline"
MAJORITY = "majority"
SINGLES = ("image", "text", "lexical")
MAIN = ("image", "text", "lexical", "early", "intermediate", "late")
FEATURED_FIRST = ("intermediate", "late", "early")
# By the number of towers, then by what the head learns. Of models without a measurable difference the first is taken.
SIMPLEST_FIRST = ("lexical", "text", "image", "late", "early", "intermediate", "gated", "single_key")


class ModelStyle(NamedTuple):
    """The name, description and drawing style of a model.

    Args:
        display: its name in the report.
        colour: from the palettes of Okabe & Ito and of Tol, which people with colour blindness can distinguish.
        line: matplotlib's line style; it distinguishes the model without colour.
        marker: matplotlib's marker; likewise.
    """

    display: str
    description: str
    colour: str = "#555555"
    line: Any = "-"
    marker: str = "o"


MODEL_STYLES = {
    "image": ModelStyle("image", "picture alone: CNN → linear", "#E69F00", (0, (5, 1.5)), "s"),
    "text": ModelStyle("text", "title alone: BERT → linear", "#56B4E9", (0, (1, 1)), "D"),
    "lexical": ModelStyle("lexical", "title's letters alone: hashed n-grams → linear", "#44AA99", (0, (3, 1)), "p"),
    "early": ModelStyle("early", "features of both, concatenated → MLP", "#009E73", "-", "^"),
    "intermediate": ModelStyle("intermediate", "the picture's cells attend to the title's tokens", "#0072B2", "-", "o"),
    "late": ModelStyle("late", "weighted average of both models' probabilities", "#CC79A7", (0, (4, 1, 1, 1)), "v"),
    "gated": ModelStyle(
        "gated", "ablation: a learned gate weighs picture and title, feature by feature", "#882255", "-", "P"
    ),
    "single_key": ModelStyle(
        "single key",
        "control: the pooled title is the only key, so attention has no choice",
        "#B8860B",
        (0, (3, 1, 1, 1, 1, 1)),
        "X",
    ),
    BASELINE: ModelStyle(
        "TF-IDF + SVM", "title alone: TF-IDF of words and letters, linear SVM, no network", "#555555", (0, (2, 2)), "d"
    ),
    MAJORITY: ModelStyle("majority class", "always the most frequent training label", "#B5B5B5", (0, (1, 3)), "."),
}


def model_style(model: str) -> ModelStyle:
    """The style of a model. A model without an entry keeps its own name and is grey."""
    return MODEL_STYLES.get(model, ModelStyle(model, ""))


def display_name(model: str) -> str:
    """A model's name in the report."""
    return model_style(model).display


def in_report_order(models: Sequence[str]) -> list[str]:
    """Sort models: the featured model, other fusions, single models, then ablations and controls."""
    known = [name for name in reversed(MAIN) if name in models]
    return list(dict.fromkeys([featured_model(models), *known, *models]))


def featured_model(models: Sequence[str]) -> str:
    """The model whose answers a report shows product by product: the one served by default, or else another fusion."""
    return next((name for name in FEATURED_FIRST if name in models), models[-1])
