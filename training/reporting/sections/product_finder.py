"""The section in which every number of the report opens its products: all test answers, with filters.

Legend: N test products of all runs, C classes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.reporting.document.blocks import Finder, Paragraph, Section
from training.reporting.document.links import FINDER
from training.reporting.document.markdown import INVISIBLE
from training.reporting.figures.thumbnails import ACROSS, SIDE, Thumbnails, draw_thumbnails
from training.reporting.results.model_names import BASELINE, display_name
from training.reporting.sections.report_data import ReportData
from training.scores.metrics import Probabilities

MOST_ANSWERED = 20_000  # products and runs; some 200 bytes each
TITLE_LETTERS = 160
SCORE_STEPS = 10_000


def product_finder(data: ReportData) -> Iterator[Section]:
    """The section with all test products, or with those that a model gets wrong and a sample of the rest."""
    pooled, rows = data.pooled, _chosen(data)
    products = list(dict.fromkeys(pooled.ids[rows].tolist()))
    catalog = data.catalog
    thumbnails = Thumbnails([], {}) if catalog.unreadable else draw_thumbnails(products, catalog.picture)
    names = [*data.models, BASELINE]
    text = (
        f"{_held(len(rows), len(pooled.ids))} with the answers of {len(names)} models. The numbers in the tables and "
        "in the matrix open their products here. A product's border says whether the chosen model is right."
    )
    if catalog.unreadable:
        text += f" There are no titles and no pictures, since the catalogue cannot be read: {catalog.unreadable}"
    elif (without := sum(product not in thumbnails.tiles for product in products)) > 0:
        text += f" {without:,} have no picture here: they have none, or the file would grow too large."
    finder = Finder(_content(data, rows, thumbnails, names), thumbnails.sheets)
    yield Section(FINDER, "Look at the products", [Paragraph(text), finder])


def rounded_scores(probabilities: Probabilities) -> NDArray[np.int64]:
    """(N, C) -> (N,) best probability in steps of 1 / ``SCORE_STEPS``, as the page filters it."""
    scores: NDArray[np.int64] = np.rint(SCORE_STEPS * probabilities.max(1).astype(np.float64)).astype(np.int64)
    return scores


def _held(held: int, there: int) -> str:
    if held == there:
        return f"All {there:,} test answers"
    return f"{held:,} of {there:,} test answers, those that most models get wrong first and then a random sample,"


def _chosen(data: ReportData) -> NDArray[np.int64]:
    """Rows to keep, the ones that most models get wrong first; the rest in random order."""
    pooled = data.pooled
    wrong = sum((pooled.answers[name].predicted != pooled.truth).astype(np.int64) for name in data.models)
    order = np.random.default_rng(0).permutation(len(pooled.ids))
    kept: NDArray[np.int64] = order[np.argsort(-np.asarray(wrong)[order], kind="stable")][:MOST_ANSWERED]
    return kept


def _content(data: ReportData, rows: NDArray[np.int64], thumbnails: Thumbnails, names: list[str]) -> dict[str, Any]:
    """What the page's script reads: columns of ids, titles, truth, and answers of each model, as small numbers."""
    pooled, catalog = data.pooled, data.catalog
    ids = pooled.ids[rows].tolist()
    runs = np.repeat(np.arange(len(data.runs)), [len(run.ids) for run in data.runs])[rows]
    answers = []
    for name in names:
        probabilities = pooled.answers[name].probabilities
        scores = None if probabilities is None else rounded_scores(probabilities[rows]).tolist()
        known = {"key": name, "name": display_name(name), "scores": scores}
        answers.append({**known, "chosen": pooled.answers[name].predicted[rows].tolist()})
    return {
        "featured": pooled.featured,
        "side": SIDE,
        "across": ACROSS,
        "steps": SCORE_STEPS,
        "labels": [_visible(label) for label in pooled.labels],
        "ids": [_visible(each) for each in ids],
        "titles": [_visible(catalog.title(each))[:TITLE_LETTERS] for each in ids],
        "modalities": [catalog.modalities(each) for each in ids],
        "tiles": [thumbnails.tiles.get(each, -1) for each in ids],
        "truth": pooled.truth[rows].tolist(),
        "runs": [_visible(run.folder.name) for run in data.runs],
        "run": runs.tolist() if len(data.runs) > 1 else [],
        "models": answers,
    }


def _visible(text: str) -> str:
    return INVISIBLE.sub("", " ".join(text.split()))
