"""Products whose label is probably wrong, for a person to check: a section and ``suspected-labels.csv``."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.catalog.table import escape_formula
from training.pipeline.out_of_fold import FILE as OUT_OF_FOLD
from training.reporting.document.blocks import Figure, Group, Paragraph, Products, Section
from training.reporting.figures.products import Answer, Card, Shelf, draw_errors
from training.reporting.results.names import SINGLES, display
from training.reporting.results.runs import held_out_answers
from training.reporting.sections.report_data import Material
from training.scores.label_errors import Suspect, average_answers, find_suspects
from training.system.storage import atomic_path

FILE = "suspected-labels.csv"
COLUMNS = ("id", "title", "given_label", "suggested_label", "label_quality", "suggested_probability", "answers")
SHOWN = 24
DRAWN = 12


def suspects(material: Material) -> Iterator[Section]:
    """Find, list in a file beside the report, and show the most suspect ones."""
    model = _judge(material)
    answers = held_out_answers(material.runs, model)
    labels, found = material.pooled.labels, find_suspects(answers)
    path = material.figures.parent / FILE
    write_suspects(path, found, labels=labels, shelf=material.shelf)
    checked = len(average_answers(answers)[0].ids)
    title, name = "Labels that may be wrong", display(model)
    parts = (
        "training (out of fold), validation and test" if _is_cross_fitted(material, model) else "validation and test"
    )
    if not found:
        text = f"None of {checked:,} {parts} products has a label that {name} contradicts clearly."
        yield Section("labels", title, [Paragraph(text)])
        return
    text = (
        f"{len(found):,} of {checked:,} {parts} products have a label that {name} contradicts more clearly than "
        "its usual errors explain (confident learning, cleanlab). Look at them before you trust either side: some "
        "labels are wrong, and some products are merely hard, above all those of rare classes. The percentage is the "
        f"calibrated probability of each label. All of them are in {FILE}, the most suspect first."
    )
    if material.shelf.gone:
        yield Section("labels", title, [Paragraph(text)])
        return
    cards = _cards(material, found[:SHOWN])
    draw_errors(material.figures / "suspected-labels.png", cards[:DRAWN])
    figure = Figure("suspected-labels.png", "Products with their given and their suggested label")
    yield Section("labels", title, [Paragraph(text), Products([Group("", cards)], figure)])


def write_suspects(path: Path, found: Sequence[Suspect], *, labels: Sequence[str], shelf: Shelf) -> None:
    """A line a product, the most suspect first; a spreadsheet opens it and runs nothing in it.

    Args:
        path: CSV to write.
        found: as from :func:`training.scores.label_errors.find_suspects`.
        labels: class names.
        shelf: has the titles.
    """
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in found:
            names = (each.product, shelf.title(each.product), labels[each.given], labels[each.suggested])
            numbers = (f"{each.quality:.4f}", f"{each.confidence:.4f}", each.answers)
            writer.writerow([*(escape_formula(name) for name in names), *numbers])


def _judge(material: Material) -> str:
    """Late fusion where it has answered all products without having seen them, else the model that is shown."""
    return "late" if _is_cross_fitted(material, "late") else material.run.shown


def _is_cross_fitted(material: Material, model: str) -> bool:
    return all((run.folder / model / OUT_OF_FOLD).is_file() for run in material.runs)


def _cards(material: Material, found: Sequence[Suspect]) -> list[Card]:
    """Each with the given and the suggested label, and what the single models say by themselves."""
    labels, shelf = material.pooled.labels, material.shelf
    singles = {name: _answers_by_product(material, name) for name in SINGLES if name in material.run.models}
    cards = []
    for each in found:
        said = [
            Answer("given", labels[each.given], each.quality, None),
            Answer("suggested", labels[each.suggested], each.confidence, None),
        ]
        for name, answers in singles.items():
            probabilities = answers[each.product, each.given]
            best = int(probabilities.argmax())
            said.append(Answer(f"{display(name)} says", labels[best], float(probabilities[best]), None))
        cards.append(Card(shelf.picture(each.product), shelf.title(each.product), "", said))
    return cards


def _answers_by_product(material: Material, model: str) -> dict[tuple[str, int], NDArray[np.float32]]:
    """Mean (C,) probabilities by product and given class."""
    products, _ = average_answers(held_out_answers(material.runs, model))
    keys = zip(products.ids.tolist(), products.labels.tolist(), strict=True)
    return dict(zip(keys, products.probabilities, strict=True))
