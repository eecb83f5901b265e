"""The baseline: words, titles without words, and one class for each title and attribute."""

import numpy as np

from training.data.attributes import MISSING
from training.scores.baseline import fit_predict

TITLES = ["red running shoe", "blue shoe", "leather bag", "small red bag", ""]
SHOE, BAG = 0, 1
CLASSES = np.array([[SHOE], [SHOE], [BAG], [BAG], [BAG]])


def test_it_knows_the_words_it_has_seen() -> None:
    assert fit_predict(TITLES, CLASSES, ["green shoe", "green bag"]).tolist() == [[SHOE], [BAG]]


def test_unknown_words_and_no_words_still_get_a_label() -> None:
    assert set(fit_predict(TITLES, CLASSES, ["", "zzz"])[:, 0]) <= {SHOE, BAG}


def test_titles_without_a_word_at_all_are_no_error() -> None:
    assert fit_predict(["", "", "!"], np.array([[0], [1], [0]]), [""]) in ([[0]], [[1]])
    assert fit_predict(["!", "?"], np.array([[0], [1]]), ["?"]) in ([[0]], [[1]])


def test_word_pairs_and_single_letters_count() -> None:
    titles = ["mens shoe t", "shoe mens k"] * 3
    said = fit_predict(titles, np.array([[0], [1]] * 3), ["mens shoe", "shoe mens", "t", "k"])
    assert said.tolist() == [[0], [1], [0], [1]]


def test_each_attribute_is_fitted_on_the_products_that_have_a_value() -> None:
    colour = np.array([[1], [0], [MISSING], [1], [MISSING]])
    said = fit_predict(TITLES, np.hstack([CLASSES, colour]), ["blue bag", "red shoe"])
    assert said.tolist() == [[BAG, 0], [SHOE, 1]]
