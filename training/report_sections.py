"""The sections of a report that have a figure: which products and numbers are shown, drawn and put into words."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from training.figures import FEW, draw_confusion, draw_reliability, draw_risk_coverage
from training.metrics import Classes, Probabilities
from training.report_architectures import Widths, draw_architectures
from training.report_attention import SIDE, AttendedProduct, draw_attention, read_attention
from training.report_markdown import escape
from training.report_products import Answer, Card, Shelf, draw_errors, draw_predictions, spread_over_classes
from training.report_runs import BASELINE, RunResults, pool_results

DISPLAY = {"baseline": "TF-IDF + SVM", "majority": "majority class"}
SHOWN_PREDICTIONS = 15
SHOWN_ERRORS = 10
SHOWN_ATTENTION = 4
SECTIONS = 7


class Section(NamedTuple):
    """A part of the report.

    Args:
        title: one line.
        text: a paragraph.
        figure: file name below ``figures``, None where there is nothing to draw.
    """

    title: str
    text: str
    figure: str | None = None


def draw_sections(runs: Sequence[RunResults], figures: Path) -> Iterator[Section]:
    """Draw into a folder; products come from the first run, charts from all of them together."""
    run, pooled = runs[0], pool_results(runs)
    shelf = Shelf(run.record["source"])
    if shelf.gone:
        yield Section(
            "Products", f"The catalogue cannot be read any more, so no product is shown: {escape(shelf.gone)}"
        )
    else:
        yield _predictions(run, shelf, figures)
        yield _errors(run, shelf, figures)
        yield from _attention(run, shelf, figures)
    yield _confusion(pooled, figures)
    yield from _calibration(pooled, figures)
    yield from _architectures(run, figures)


def _predictions(run: RunResults, shelf: Shelf, figures: Path) -> Section:
    rows = spread_over_classes(run.truth, count=SHOWN_PREDICTIONS, seed=0)
    draw_predictions(figures / "predictions.png", [_card(run, shelf, row, [run.shown]) for row in rows])
    text = (
        f"{len(rows)} test products drawn at random, no class twice before every class had its turn, as the "
        f"`{run.shown}` model answers them: ✓ right, ✗ wrong, and the calibrated score."
    )
    return Section("Predictions on test products", text, "predictions.png")


def _errors(run: RunResults, shelf: Shelf, figures: Path) -> Section:
    title = "Misclassified products, and what each model said"
    wrong = run.answers[run.shown].predicted != run.truth
    rows = error_rows(run)[:SHOWN_ERRORS]
    if not rows:
        return Section(title, "No model got a test product wrong.")
    draw_errors(figures / "misclassified.png", [_card(run, shelf, row, [*run.models, BASELINE]) for row in rows])
    text = f"The `{run.shown}` model gets {wrong.sum():,} of {len(wrong):,} test products wrong"
    text += "; below the ones it was most sure of" if wrong.any() else ""
    if len(rows) > wrong.sum():
        text += "; " + ("then" if wrong.any() else "below") + " products that other models get wrong"
    return Section(title, f"{text}. A title or a label that is wrong itself shows up here first.", "misclassified.png")


def error_rows(run: RunResults) -> list[int]:
    """Errors of the shown model, the surest first; then products that others get wrong, those of most models first."""
    answers = run.answers[run.shown]
    assert answers.probabilities is not None
    wrong = np.stack([run.answers[name].predicted != run.truth for name in run.models])
    own = answers.predicted != run.truth
    order = np.where(own, 2 + answers.probabilities.max(1), wrong.mean(0))
    return [int(row) for row in np.argsort(-order, kind="stable") if order[row] > 0]


def _attention(run: RunResults, shelf: Shelf, figures: Path) -> Iterator[Section]:
    path = run.folder / "intermediate" / "attention.npz"
    if not path.is_file():
        return
    squash = run.record["arguments"].get("image_fit") == "squash"
    products: list[AttendedProduct] = []
    for product, keys, weights in read_attention(path):
        picture = shelf.picture(product)
        if picture is not None and len(products) < SHOWN_ATTENTION:
            products.append(AttendedProduct(_square(picture, squash=squash), shelf.title(product), keys, weights))
    if products:
        draw_attention(figures / "attention.png", products)
        yield Section("What the intermediate model attends to", _ATTENTION, "attention.png")


_ATTENTION = (
    "Each cell of the picture distributes its attention over the title's words and a learned null key, which stands "
    "for “nothing in the title”. The stronger the colour, the more of a cell's attention goes to that word; full "
    "colour is the strongest in the row, written above its picture. The number beside a word is its mean over all "
    "cells; a word of several pieces has their mean. Attention says where the model looked, not why it answered so."
)


def _square(picture: Image.Image, *, squash: bool) -> Image.Image:
    """As the model read it, at the size it is drawn."""
    if squash:
        return picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return ImageOps.pad(picture, (SIDE, SIDE), method=Image.Resampling.BICUBIC, color="white")


def _confusion(pooled: RunResults, figures: Path) -> Section:
    draw_confusion(figures / "confusion.png", pooled.truth, pooled.answers[pooled.shown].predicted, pooled.labels)
    return Section(
        "Confusion", f"What the `{pooled.shown}` model takes for what, on all test products.", "confusion.png"
    )


def _calibration(pooled: RunResults, figures: Path) -> Iterator[Section]:
    models: dict[str, tuple[Probabilities, Classes]] = {}
    for name in pooled.models:
        probabilities = pooled.answers[name].probabilities
        if probabilities is not None:
            models[name] = (probabilities, pooled.truth)
    draw_reliability(figures / "reliability.png", models)
    yield Section(
        "Does a score mean what it says?",
        "Of answers with a score of 80 %, 80 % should be right: dots on the line. A dot's area is its share of the "
        f"products; hollow dots have fewer than {FEW}, so their height is chance.",
        "reliability.png",
    )
    draw_risk_coverage(figures / "risk-coverage.png", models)
    yield Section(
        "How much can be answered without a person?",
        "The most confident answers first: the share of errors among them, as more and more products are answered. "
        "What lies below the dashed line can go out at 95 % precision.",
        "risk-coverage.png",
    )


def _architectures(run: RunResults, figures: Path) -> Iterator[Section]:
    widths = _widths(run)
    if widths is not None:
        draw_architectures(figures / "architectures.png", widths)
        yield Section("The three fusions", "With the widths of this run.", "architectures.png")


def _widths(run: RunResults) -> Widths | None:
    """Read from any model of two towers; None where the run has none."""
    for name in run.models:
        path = run.folder / name / "architecture.json"
        architecture = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if architecture.get("image_encoder") and architecture.get("text_encoder"):
            return Widths(
                image_encoder=architecture["image_encoder"],
                image=architecture["image_width"],
                text_encoder=Path(run.record["arguments"].get("text_encoder", "BERT")).name,
                text=architecture["text_encoder"]["hidden_size"],
                side=run.record["arguments"].get("image_size", SIDE) // 32,
                classes=len(run.labels),
            )
    return None


def _card(run: RunResults, shelf: Shelf, row: int, names: Sequence[str]) -> Card:
    product = str(run.ids[row])
    said = []
    for name in names:
        answers = run.answers[name]
        score = None if answers.probabilities is None else float(answers.probabilities[row].max())
        label, right = run.labels[answers.predicted[row]], bool(answers.predicted[row] == run.truth[row])
        said.append(Answer(DISPLAY.get(name, name), label, score, right))
    return Card(shelf.picture(product), shelf.title(product), run.labels[run.truth[row]], said)
