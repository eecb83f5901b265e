"""The sections that show products: a random sample, and misclassified products with every model's answer."""

from collections.abc import Iterator

import numpy as np

from training.reporting.document.blocks import Figure, Group, Paragraph, Products, Section
from training.reporting.figures.products import draw_errors, draw_predictions, sample_across_classes
from training.reporting.results.model_names import BASELINE, display_name
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData

SHOWN_PREDICTIONS = 15
SHOWN_ERRORS = 20
DRAWN_ERRORS = 10


def predictions(data: ReportData) -> Iterator[Section]:
    """The section with random test products and the featured model's answers."""
    run, title = data.run, "Predictions on test products"
    if data.catalog.unreadable:
        text = f"The catalogue cannot be read, so the report shows no products: {data.catalog.unreadable}"
        yield Section("predictions", title, [Paragraph(text)])
        return
    rows = sample_across_classes(run.truth, count=SHOWN_PREDICTIONS, seed=0)
    cards = [data.card(run, row, [run.featured]) for row in rows]
    draw_predictions(data.figures / "predictions.png", cards)
    text = (
        f"{len(rows)} random test products from as many classes as possible, with the answers of the "
        f"{display_name(run.featured)} model: ✓ right, ✗ wrong, and the calibrated probability."
    )
    figure = Figure("predictions.png", f"Test products with the answers of {display_name(run.featured)}")
    yield Section("predictions", title, [Paragraph(text), Products([Group("", cards)], figure)])


def errors(data: ReportData) -> Iterator[Section]:
    """The section with misclassified test products and the answers of all models."""
    if data.catalog.unreadable:
        return
    run, title = data.run, "Misclassified products"
    wrong = run.answers[run.featured].predicted != run.truth
    rows = error_rows(run)[:SHOWN_ERRORS]
    if not rows:
        yield Section("misclassified", title, [Paragraph("All answers of all models are right.")])
        return
    cards = [data.card(run, row, [*run.models, BASELINE]) for row in rows]
    draw_errors(data.figures / "misclassified.png", cards[:DRAWN_ERRORS])
    text = f"The {display_name(run.featured)} model misclassifies {wrong.sum():,} of {len(wrong):,} test products."
    text += " Its most confident errors come first." if wrong.any() else ""
    if len(rows) > wrong.sum():
        text += f" Products that other models misclassify {'follow' if wrong.any() else 'are below'}."
    text += " Some of these products may have a wrong title or label."
    figure = Figure("misclassified.png", "Misclassified products with the answer of every model")
    yield Section("misclassified", title, [Paragraph(text), Products([Group("", cards)], figure)])


def error_rows(run: RunResults) -> list[int]:
    """Rows of misclassified products: the featured model's errors, the most confident first, then those of others.

    Among the others, products that more models misclassify come first.
    """
    answers = run.answers[run.featured]
    assert answers.probabilities is not None
    wrong = np.stack([run.answers[name].predicted != run.truth for name in run.models])
    own = answers.predicted != run.truth
    order = np.where(own, 2 + answers.probabilities.max(1), wrong.mean(0))
    return [int(row) for row in np.argsort(-order, kind="stable") if order[row] > 0]
