"""The baseline reads words, survives titles without any, and answers one label a title."""

from training.scores.baseline import fit_predict

TITLES = ["red running shoe", "blue shoe", "leather bag", "small red bag", ""]
LABELS = ["shoe", "shoe", "bag", "bag", "bag"]


def test_it_knows_the_words_it_has_seen() -> None:
    assert fit_predict(TITLES, LABELS, ["green shoe", "green bag"]) == ["shoe", "bag"]


def test_unknown_words_and_no_words_still_get_a_label() -> None:
    assert set(fit_predict(TITLES, LABELS, ["", "zzz"])) <= {"shoe", "bag"}


def test_titles_without_a_word_at_all_are_no_error() -> None:
    assert fit_predict(["", "", "!"], ["a", "b", "a"], [""]) in (["a"], ["b"])
    assert fit_predict(["!", "?"], ["a", "b"], ["?"]) in (["a"], ["b"])


def test_word_pairs_and_single_letters_count() -> None:
    titles = ["mens shoe t", "shoe mens k"] * 3
    assert fit_predict(titles, ["t", "k"] * 3, ["mens shoe", "shoe mens", "t", "k"]) == ["t", "k", "t", "k"]
