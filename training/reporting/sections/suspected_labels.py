"""The section on labels that are probably wrong, and ``suspected-labels.csv``, for a person to check."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.catalog.table import escape_formula
from training.pipeline.cross_fitting import OUT_OF_FOLD_FILE
from training.reporting.document.blocks import Figure, Group, Paragraph, Products, Section
from training.reporting.figures.products import CardAnswer, CatalogProducts, ProductCard, draw_errors
from training.reporting.results.model_names import SINGLES, display_name
from training.reporting.results.run_results import held_out_answers
from training.reporting.sections.report_data import ReportData
from training.scores.label_errors import Suspect, average_answers, find_suspects
from training.system.storage import CSV_ENCODING, atomic_path

FILE = "suspected-labels.csv"
COLUMNS = ("id", "title", "given_label", "suggested_label", "label_quality", "suggested_probability", "answers")
CARDS = 24
DRAWN_CARDS = 12


def suspected_labels(data: ReportData) -> Iterator[Section]:
    """The section; it also writes ``suspected-labels.csv`` beside the report."""
    # Late fusion if it has out-of-fold answers to the training part.
    model = "late" if _is_cross_fitted(data, "late") else data.run.featured
    answers = held_out_answers(data.runs, model)
    labels, found = data.pooled.labels, find_suspects(answers)
    path = data.figures.parent / FILE
    write_suspects(path, found, labels=labels, catalog=data.catalog)
    checked = len(average_answers(answers)[0].ids)
    title, name = "Labels that may be wrong", display_name(model)
    parts = "training (out of fold), validation and test" if _is_cross_fitted(data, model) else "validation and test"
    if not found:
        text = f"None of the {checked:,} {parts} products has a label that {name} clearly contradicts."
        yield Section("labels", title, [Paragraph(text)])
        return
    text = (
        f"{len(found):,} of {checked:,} {parts} products have a label that {name} contradicts more clearly than "
        "its usual errors explain (confident learning, cleanlab). Check them: some labels are wrong, and some products "
        "are only difficult, above all products of rare classes. The percentage is the calibrated probability of each "
        f"label. {FILE} lists all of them, the most suspect first."
    )
    if data.catalog.unreadable:
        yield Section("labels", title, [Paragraph(text)])
        return
    cards = _cards(data, found[:CARDS])
    draw_errors(data.figures / "suspected-labels.png", cards[:DRAWN_CARDS])
    figure = Figure("suspected-labels.png", "Products with their given and their suggested label")
    yield Section("labels", title, [Paragraph(text), Products([Group("", cards)], figure)])


def write_suspects(path: Path, found: Sequence[Suspect], *, labels: Sequence[str], catalog: CatalogProducts) -> None:
    """Write a line for each product, the most suspect first. A spreadsheet that opens it runs no formula.

    Args:
        found: from :func:`training.scores.label_errors.find_suspects`.
    """
    with atomic_path(path) as partial, partial.open("w", newline="", encoding=CSV_ENCODING) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in found:
            names = (each.product, catalog.title(each.product), labels[each.given], labels[each.suggested])
            numbers = (f"{each.quality:.4f}", f"{each.confidence:.4f}", each.answers)
            writer.writerow([*(escape_formula(name) for name in names), *numbers])


def _is_cross_fitted(data: ReportData, model: str) -> bool:
    return all((run.folder / model / OUT_OF_FOLD_FILE).is_file() for run in data.runs)


def _cards(data: ReportData, found: Sequence[Suspect]) -> list[ProductCard]:
    """Products with the given label, the suggested label, and the answers of the single models."""
    labels, catalog = data.pooled.labels, data.catalog
    singles = {name: _answers_by_product(data, name) for name in SINGLES if name in data.run.models}
    cards = []
    for each in found:
        card_answers = [
            CardAnswer("given", labels[each.given], each.quality, None),
            CardAnswer("suggested", labels[each.suggested], each.confidence, None),
        ]
        for name, answers in singles.items():
            probabilities = answers[each.product, each.given]
            best = int(probabilities.argmax())
            card_answers.append(CardAnswer(display_name(name), labels[best], float(probabilities[best]), None))
        cards.append(ProductCard(catalog.picture(each.product), catalog.title(each.product), "", card_answers))
    return cards


def _answers_by_product(data: ReportData, model: str) -> dict[tuple[str, int], NDArray[np.float32]]:
    """Mean probabilities (C,) by product and given class."""
    products, _ = average_answers(held_out_answers(data.runs, model))
    keys = zip(products.ids.tolist(), products.labels.tolist(), strict=True)
    return dict(zip(keys, products.probabilities, strict=True))
