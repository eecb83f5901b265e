"""Thinned titles keep their order, keep something, and lose words about as often as asked."""

import numpy as np

from training.titles import MAX_SHARE, MIN_SHARE, thin_title

TITLE = "Puma Men Navy Blue Running Sports Shoes With Laces"


def thinned(count: int) -> list[list[str]]:
    return [thin_title(TITLE, np.random.default_rng(seed)).split() for seed in range(count)]


def test_words_that_stay_keep_their_order() -> None:
    words = TITLE.split()
    for kept in thinned(50):
        assert kept and kept == [word for word in words if word in kept]


def test_a_share_between_the_limits_goes() -> None:
    gone = 1 - np.mean([len(kept) for kept in thinned(2000)]) / len(TITLE.split())
    assert abs(gone - (MIN_SHARE + MAX_SHARE) / 2) < 0.05


def test_every_word_goes_some_time_and_the_seed_decides() -> None:
    titles = thinned(200)
    assert all(any(word not in kept for kept in titles) for word in TITLE.split())
    assert titles == thinned(200)


def test_nothing_is_taken_from_a_single_word() -> None:
    assert [thin_title(title, np.random.default_rng(0)) for title in ("", "Shoe")] == ["", "Shoe"]
