"""Two runs of different targets are compared on products that neither has seen, and judged as in a report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.studies.attribute_accuracy import by_words, compare, drawn_rows, table, unseen_rows

PRODUCTS = pd.DataFrame({"id": ["1", "2", "3", "4", "5", "6"]})


def split_file(run: Path, **parts: str) -> Path:
    run.mkdir()
    rows = [{"id": product[1:], "label": "", "part": part, "group": 0} for product, part in parts.items()]
    pd.DataFrame(rows).to_csv(run / "split.csv", index=False)
    return run


def test_products_of_a_group_that_a_run_has_seen_are_left_out(tmp_path: Path) -> None:
    one = split_file(tmp_path / "one", p1="train", p2="test", p3="validation")
    other = split_file(tmp_path / "other", p1="test", p2="test", p4="test", p5="train")
    groups = np.array([0, 1, 2, 2, 3, 4])
    assert unseen_rows([one, other], PRODUCTS, groups).tolist() == [False, True, False, False, False, True]
    assert unseen_rows([one], PRODUCTS, groups).tolist() == [False, True, False, False, True, True]


def test_as_many_products_as_wanted_are_drawn() -> None:
    assert [drawn_rows(10, wanted).sum() for wanted in (None, 3, 20)] == [10, 3, 10]


def test_the_difference_is_that_of_the_accuracies() -> None:
    truth, several = ["a", "b"] * 100, ["a", "b"] * 90 + ["b", "a"] * 10
    single = ["a", "b"] * 80 + ["b", "a"] * 20
    found = compare(truth, several, single, np.arange(200))
    assert (found["several"], found["single"]) == (90, 80)
    assert found["difference"] == pytest.approx(10)
    assert 0 < found["low"] < 10 < found["high"]
    assert (found["verdict"], found["within_target"]) == ("better", True)


@pytest.mark.parametrize(("wrong", "within"), [(1, True), (2, False)])
def test_half_a_point_below_the_single_run_is_the_most(wrong: int, within: bool) -> None:
    truth = ["a"] * 200
    found = compare(truth, ["b"] * wrong + ["a"] * (200 - wrong), truth, np.arange(200))
    assert found["within_target"] is within


def test_words_tell_what_the_training_products_of_two_runs_differ_by(tmp_path: Path) -> None:
    """One run has seen bags by name; a product without a label teaches nothing, nor does one that is not trained on."""
    titles = ["red shoe", "blue shoe", "red bag", "green thing", "blue bag", "blue bag", "blue bag"]
    products = pd.DataFrame({"id": [str(number) for number in range(7)], "text": titles})
    labels = pd.Series(["shoe", "shoe", "bag", "bag", "", "bag", "bag"])
    named = split_file(tmp_path / "named", p0="train", p1="train", p2="train", p4="train")
    unnamed = split_file(tmp_path / "unnamed", p0="train", p1="train", p3="train", p4="train", p5="test")
    assert by_words([named, unnamed], products, labels, np.arange(7) > 4) == [100, 0]


def test_a_line_for_each_attribute() -> None:
    each = compare(["a", "b"], ["a", "b"], ["a", "a"], np.arange(2))
    [line] = table({"gender": {**each, "several_by_words": 70.0, "single_by_words": 70.5}}).splitlines()[2:]
    assert line.startswith("| gender | 2 | 100.0 | 50.0 | +50.0 |") and line.endswith("| -0.5 |")
