"""The products that a report shows, and their cards."""

from pathlib import Path

import numpy as np
import pytest
from written_run import MODELS, write_catalogue, write_run

from training.catalog.reading import CatalogSource
from training.reporting.figures.products import CardAnswer, CatalogProducts, _answer_line, sample_across_classes
from training.reporting.results.run_results import read_results
from training.reporting.sections.example_products import error_rows


def test_every_class_has_its_turn_before_one_comes_again() -> None:
    truth = np.array([0] * 50 + [1] * 3 + [2])
    rows = sample_across_classes(truth, count=6, seed=0)
    assert sorted(truth[rows[:3]]) == [0, 1, 2] and sorted(truth[rows[3:5]]) == [0, 1]
    assert len(set(rows)) == 6
    assert rows != sample_across_classes(truth, count=6, seed=1)
    assert sorted(sample_across_classes(truth, count=99, seed=0)) == list(range(54))


def test_the_surest_errors_come_first_then_what_most_others_get_wrong(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "shop", products=20)
    wrong = {"intermediate": [7, 2], "image": [1, 4], "text": [4], "early": [9, 4], "late": [9]}
    run = read_results(write_run(tmp_path / "run", catalogue, wrong=wrong))
    probabilities = run.answers["intermediate"].probabilities
    assert probabilities is not None
    probabilities[7] *= 0.8
    assert error_rows(run) == [2, 7, 4, 9, 1]


def test_catalogue_products_have_titles_and_pictures(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "shop", products=3)
    (catalogue.parent / "images" / "1.png").unlink()
    catalog = CatalogProducts(CatalogSource(path=str(catalogue)))
    picture = catalog.picture("p0")
    assert not catalog.unreadable and catalog.title("p0") == "Product 0"
    assert picture is not None and picture.size == (30, 40)
    assert catalog.picture("p1") is None
    assert (catalog.title("unknown"), catalog.picture("unknown")) == ("", None)


def test_an_unreadable_catalogue_gives_its_reason(tmp_path: Path) -> None:
    catalog = CatalogProducts(CatalogSource(path=str(tmp_path / "gone.csv")))
    assert "gone.csv" in catalog.unreadable and "\n" not in catalog.unreadable
    assert (catalog.title("p0"), catalog.picture("p0")) == ("", None)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (CardAnswer("image", "Shoes", 0.876, True), "✓ Shoes 88 %"),
        (CardAnswer("image", "Shoes", 0.996, True), "✓ Shoes >99 %"),
        (CardAnswer("image", "Bags", 0.2, False), "✗ Bags 20 %"),
        (CardAnswer("baseline", "Bags", None, False), "✗ Bags"),
    ],
)
def test_an_answer_is_a_mark_a_label_and_a_score(answer: CardAnswer, expected: str) -> None:
    assert _answer_line(answer, width=2, size=8) == expected


def test_a_long_label_is_cut_and_not_its_score() -> None:
    line = _answer_line(CardAnswer("image", "Accessory Gift Set " * 5, 0.5, True), width=2, size=8)
    assert line.startswith("✓ Accessory") and line.endswith("… 50 %")


def test_the_served_model_is_the_featured_one(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "shop", products=20)
    assert read_results(write_run(tmp_path / "all", catalogue)).featured == "intermediate"
    two = read_results(write_run(tmp_path / "two", catalogue, models=MODELS[:2]))
    assert (two.featured, two.models) == ("text", ["image", "text"])


def test_the_majority_is_that_of_the_training_part(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", write_catalogue(tmp_path / "shop", products=20))
    split = (run / "split.csv").read_text(encoding="utf-8").replace("Bags,train", "Shoes,train")
    (run / "split.csv").write_text(split, encoding="utf-8")
    results = read_results(run)
    assert {results.labels[row] for row in results.answers["majority"].predicted} == {"Shoes"}
