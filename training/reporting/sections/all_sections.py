"""The sections of a report in order; of those that need no file of their own, what is drawn and put into words."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from training.reporting.document.blocks import Figure, Group, Paragraph, Products, Section
from training.reporting.figures.architectures import Widths, draw_architectures
from training.reporting.figures.attention import SIDE, AttendedProduct, draw_attention, read_attention
from training.reporting.figures.charts import FEW, draw_reliability, draw_risk_coverage
from training.reporting.figures.products import draw_errors, draw_predictions, sample_across_classes
from training.reporting.results.names import BASELINE, display
from training.reporting.results.runs import RunResults
from training.reporting.sections.attributes import attributes
from training.reporting.sections.classes import confusion, per_class
from training.reporting.sections.history import training_history
from training.reporting.sections.provenance import cost, provenance
from training.reporting.sections.report_data import Material
from training.reporting.sections.robustness import robustness
from training.reporting.sections.suspects import suspects
from training.scores.metrics import Classes, Probabilities

SHOWN_PREDICTIONS = 15
SHOWN_ERRORS = 20
DRAWN_ERRORS = 10
SHOWN_ATTENTION = 4


def predictions(material: Material) -> Iterator[Section]:
    """Products drawn at random, as the shown model answers them."""
    run, title = material.run, "Predictions on test products"
    if material.shelf.unreadable:
        text = f"The catalogue cannot be read any more, so no product is shown: {material.shelf.unreadable}"
        yield Section("predictions", title, [Paragraph(text)])
        return
    rows = sample_across_classes(run.truth, count=SHOWN_PREDICTIONS, seed=0)
    cards = [material.card(run, row, [run.shown]) for row in rows]
    draw_predictions(material.figures / "predictions.png", cards)
    text = (
        f"{len(rows)} test products drawn at random, no class twice before every class had its turn, as the "
        f"{display(run.shown)} model answers them: ✓ right, ✗ wrong, and the calibrated score."
    )
    figure = Figure("predictions.png", f"Test products with the answers of {display(run.shown)}")
    yield Section("predictions", title, [Paragraph(text), Products([Group("", cards)], figure)])


def errors(material: Material) -> Iterator[Section]:
    """Products that models get wrong, with the answers of all of them."""
    if material.shelf.unreadable:
        return
    run, title = material.run, "Misclassified products, and what each model said"
    wrong = run.answers[run.shown].predicted != run.truth
    rows = error_rows(run)[:SHOWN_ERRORS]
    if not rows:
        yield Section("misclassified", title, [Paragraph("No model got a test product wrong.")])
        return
    cards = [material.card(run, row, [*run.models, BASELINE]) for row in rows]
    draw_errors(material.figures / "misclassified.png", cards[:DRAWN_ERRORS])
    text = f"The {display(run.shown)} model gets {wrong.sum():,} of {len(wrong):,} test products wrong"
    text += "; below the ones it was most sure of" if wrong.any() else ""
    if len(rows) > wrong.sum():
        text += "; " + ("then" if wrong.any() else "below") + " products that other models get wrong"
    text += ". A title or a label that is wrong itself shows up here first."
    figure = Figure("misclassified.png", "Misclassified products with the answer of every model")
    yield Section("misclassified", title, [Paragraph(text), Products([Group("", cards)], figure)])


def error_rows(run: RunResults) -> list[int]:
    """Errors of the shown model, the surest first; then products that others get wrong, those of most models first."""
    answers = run.answers[run.shown]
    assert answers.probabilities is not None
    wrong = np.stack([run.answers[name].predicted != run.truth for name in run.models])
    own = answers.predicted != run.truth
    order = np.where(own, 2 + answers.probabilities.max(1), wrong.mean(0))
    return [int(row) for row in np.argsort(-order, kind="stable") if order[row] > 0]


def attention(material: Material) -> Iterator[Section]:
    """What the cells of a few pictures attend to, where the run has kept it."""
    run, shelf = material.run, material.shelf
    path = run.folder / "intermediate" / "attention.npz"
    if shelf.unreadable or not path.is_file():
        return
    squash = run.record.arguments["image_fit"] == "squash"
    products: list[AttendedProduct] = []
    for product, keys, weights in read_attention(path):
        picture = shelf.picture(product)
        if picture is not None and len(products) < SHOWN_ATTENTION:
            products.append(AttendedProduct(_square(picture, squash=squash), shelf.title(product), keys, weights))
    if products:
        draw_attention(material.figures / "attention.png", products)
        figure = Figure("attention.png", "Pictures of products, coloured where they attend to each word of the title")
        yield Section("attention", "What the intermediate model attends to", [Paragraph(_ATTENTION), figure])


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


def coverage(material: Material) -> Iterator[Section]:
    """Risk and coverage of all models."""
    draw_risk_coverage(material.figures / "risk-coverage.png", _calibrated(material))
    text = (
        "The most confident answers first: the share of errors among them, as more and more products are answered. "
        "What lies below the dashed line can go out at 95 % precision."
    )
    figure = Figure("risk-coverage.png", "Share of errors among the answers, by share of the products answered")
    yield Section("coverage", "How much can be answered without a person?", [Paragraph(text), figure])


def calibration(material: Material) -> Iterator[Section]:
    """Reliability of all models."""
    draw_reliability(material.figures / "reliability.png", _calibrated(material))
    text = (
        "Of answers with a score of 80 %, 80 % should be right: dots on the line. A dot's area is its share of the "
        f"products; hollow dots have fewer than {FEW}, so their height is chance. ECE: expected calibration error, "
        "the mean distance from the line over 15 bins."
    )
    figure = Figure("reliability.png", "Accuracy by confidence, a panel a model")
    yield Section("calibration", "Does a score mean what it says?", [Paragraph(text), figure])


def _calibrated(material: Material) -> dict[str, tuple[Probabilities, Classes]]:
    pooled, models = material.pooled, dict[str, tuple[Probabilities, Classes]]()
    for name in material.models:
        probabilities = pooled.answers[name].probabilities
        if probabilities is not None:
            models[name] = (probabilities, pooled.truth)
    return models


def architectures(material: Material) -> Iterator[Section]:
    """The fusions as diagrams, with the widths of the first run."""
    widths = _widths(material.run)
    if widths is not None:
        draw_architectures(material.figures / "architectures.png", widths)
        figure = Figure("architectures.png", "Block diagrams of early, intermediate and late fusion")
        yield Section("architectures", "The three fusions", [Paragraph("With the widths of this run."), figure])


def _widths(run: RunResults) -> Widths | None:
    """Read from any model of two towers; None where the run has none."""
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


# Between the comparison and the end; every one draws its figures and yields what it has to say, if it has.
SECTIONS: tuple[Callable[[Material], Iterator[Section]], ...] = (
    attributes,
    robustness,
    coverage,
    calibration,
    predictions,
    per_class,
    confusion,
    errors,
    suspects,
    attention,
    architectures,
    training_history,
    cost,
    provenance,
)
