"""The list of suspected labels: its rows, and formulas that a spreadsheet must not run."""

import csv
from pathlib import Path

import numpy as np
import pytest
from written_run import LABELS, write_catalogue, write_run

from training.reporting.document.blocks import Paragraph, Products
from training.reporting.results.run_results import read_results
from training.reporting.sections.report_data import ReportData
from training.reporting.sections.suspected_labels import COLUMNS, FILE, suspected_labels

WRONG = {"intermediate": [4], "image": [4], "text": [5]}


@pytest.fixture
def data(tmp_path: Path) -> ReportData:
    """A run whose models contradict the label of product 4, whose title is a formula."""
    catalogue = write_catalogue(tmp_path / "shop", products=30, titles={4: '=HYPERLINK("http://bad")'})
    run = write_run(tmp_path / "run", catalogue, wrong=WRONG)
    return ReportData([read_results(run)], tmp_path / "report" / "figures")


def test_a_contradicted_label_is_listed_and_shown_with_the_answers_of_the_models(data: ReportData) -> None:
    [section] = suspected_labels(data)
    rows = list(csv.reader((data.figures.parent / FILE).read_text(encoding="utf-8-sig").splitlines()))
    assert rows[0] == list(COLUMNS)
    given, suggested = LABELS[4 % 3], LABELS[5 % 3]
    assert rows[1:] == [["p4", '\'=HYPERLINK("http://bad")', given, suggested, "0.0500", "0.9000", "1"]]
    text, products = section.blocks
    assert isinstance(text, Paragraph) and "1 of 12 validation and test products" in text.text
    assert isinstance(products, Products)
    [card] = products.groups[0].cards
    answers = [(answer.model, answer.label, answer.right) for answer in card.answers]
    assert answers == [
        ("given", given, None),
        ("suggested", suggested, None),
        ("image", suggested, None),
        ("text", given, None),
    ]
    assert card.picture is not None and not card.truth


def test_the_validation_part_is_checked_as_well_where_it_was_kept(data: ReportData) -> None:
    for name in ("intermediate", "image", "text"):
        folder = data.run.folder / name
        with np.load(folder / "test.npz") as saved:
            other = {**saved, "ids": np.array([f"v{number}" for number in range(12)])}
        np.savez(folder / "validation.npz", **other)
    [section] = suspected_labels(data)
    assert isinstance(section.blocks[0], Paragraph)
    assert section.blocks[0].text.startswith("2 of 24 validation and test products")


def test_all_products_are_checked_where_the_run_was_cross_fitted(data: ReportData) -> None:
    for name in ("late", "image", "text"):
        folder = data.run.folder / name
        with np.load(folder / "test.npz") as saved:
            other = {**saved, "ids": np.array([f"t{number}" for number in range(12)])}
        np.savez(folder / "out_of_fold.npz", **other)
    [section] = suspected_labels(data)
    assert isinstance(section.blocks[0], Paragraph)
    text = section.blocks[0].text
    assert text.startswith("None of the 24 training (out of fold), validation and test products") and "late" in text


def test_no_suspect_is_a_sentence_and_an_empty_list(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", write_catalogue(tmp_path / "shop", products=30))
    [section] = suspected_labels(ReportData([read_results(run)], tmp_path / "figures"))
    assert isinstance(section.blocks[0], Paragraph) and section.blocks[0].text.startswith("None of the 12 ")
    assert (tmp_path / FILE).read_text(encoding="utf-8-sig").strip() == ",".join(COLUMNS)
