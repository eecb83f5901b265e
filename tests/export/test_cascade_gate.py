"""The exits of a cascade: thresholds from validation products, and the gate on test products."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.cascade import CLOSED, Answers, Seen, _threshold, cascade_figures, require_cascade
from export.verify import VerificationError
from handlers.product_serving.settings import Attribute, Cascade, OneModality, ProductSettings
from training.data.attributes import MISSING

LETTERS = OneModality(modality="text", temperatures=(1.0,), review_thresholds=(0.5,))
SETTINGS = ProductSettings(model="late", attributes=(Attribute(name="label", labels=("a", "b", "c")),), lexical=True)


def answers(labels: list[int], sure: list[float]) -> Answers:
    return Answers(np.array(labels)[:, None], np.array(sure))


def test_the_threshold_is_the_lowest_that_changes_few_answers() -> None:
    early = answers([0, 0, 1, 0, 1], [0.99, 0.9, 0.8, 0.7, 0.6])
    full = answers([0, 0, 0, 0, 0], [1] * 5)
    among = np.ones(5, dtype=bool)
    assert _threshold(early, full, among, changes=0.0) == 0.9
    assert _threshold(early, full, among, changes=0.2) == 0.7
    assert _threshold(early, full, among, changes=0.5) == 0.6


def test_an_exit_whose_surest_answer_is_wrong_stays_closed() -> None:
    early, full = answers([1, 0], [0.99, 0.9]), answers([0, 0], [1, 1])
    assert _threshold(early, full, np.ones(2, dtype=bool), changes=0.0) == CLOSED
    assert _threshold(early, full, np.zeros(2, dtype=bool), changes=0.5) == CLOSED


def test_answers_that_are_not_finite_take_no_exit() -> None:
    early, full = answers([0, 0, 0], [0.9, np.nan, 0.8]), answers([0, 0, 0], [1] * 3)
    threshold = _threshold(early, full, np.ones(3, dtype=bool), changes=0.0)
    assert (early.sure >= threshold).tolist() == [True, False, True]


def seen(**changes: Any) -> Seen:
    """Ten products, the first six with a picture; the letters are wrong about the last one and least sure of it."""
    full = answers([0] * 10, [0.99] * 10)
    letters = answers([0] * 9 + [1], [0.99 - 0.01 * number for number in range(10)])
    products = Seen(
        truth=np.zeros((10, 1), dtype=np.int64),
        picture=np.arange(10) < 6,
        letters=letters,
        title=full,
        full=full,
    )
    return products._replace(**changes)


def with_exits(letters: float, alone: float, title: float) -> ProductSettings:
    cascade = Cascade(letters=LETTERS, letters_threshold=letters, letters_alone_threshold=alone, title_threshold=title)
    return dataclasses.replace(SETTINGS, cascade=cascade)


def test_the_figures_are_of_each_state_of_modalities() -> None:
    figures = cascade_figures(with_exits(0.96, 0.9, 0.5), seen())
    both, text = figures["both"], figures["text"]
    assert (both["products"], both["by_letters"], both["by_title"], both["same_class"]) == (6, 4 / 6, 2 / 6, 1)
    assert (text["products"], text["by_letters"], text["by_title"]) == (10, 1, 0)
    assert (text["same_class"], text["accuracy"], text["full_accuracy"]) == (0.9, 0.9, 1.0)


def test_products_without_a_value_do_not_count_for_the_accuracy() -> None:
    truth = np.zeros((10, 1), dtype=np.int64)
    truth[9] = MISSING
    figures = cascade_figures(with_exits(CLOSED, 0.0, CLOSED), seen(truth=truth))
    assert (figures["text"]["accuracy"], figures["text"]["same_class"]) == (1.0, 0.9)


def test_a_state_without_products_has_no_figures() -> None:
    figures = cascade_figures(with_exits(0.9, 0.95, CLOSED), seen(picture=np.zeros(10, dtype=bool)))
    assert list(figures) == ["text"]


def test_the_gate_refuses_exits_that_change_answers() -> None:
    with pytest.raises(VerificationError, match=r"90\.00% of the products with a title alone .*nothing was archived"):
        require_cascade(cascade_figures(with_exits(CLOSED, 0.0, CLOSED), seen()))
    require_cascade(cascade_figures(with_exits(0.96, 0.95, 0.5), seen()))


def test_a_cascade_without_an_open_exit_is_refused() -> None:
    with pytest.raises(VerificationError, match="no product takes an exit"):
        require_cascade(cascade_figures(with_exits(CLOSED, CLOSED, CLOSED), seen()))


def test_the_settings_of_a_cascade_read_back(tmp_path: Path) -> None:
    settings = with_exits(0.96, 0.9, CLOSED)
    (tmp_path / "settings.json").write_text(settings.to_json())
    again = ProductSettings.from_json(tmp_path / "settings.json")
    assert again == settings and again.of_letters.main.review_threshold == 0.5
