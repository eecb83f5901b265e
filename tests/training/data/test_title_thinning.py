"""Thinned titles keep the order and at least one word, and lose words with the given probabilities."""

import numpy as np

from training.data.title_thinning import MAX_INFORMATIVE, MAX_SHARE, MIN_SHARE, TitleThinner, learn_thinner

TITLE = "Puma Men Navy Blue Running Sports Shoes With Laces"


def thinned(count: int) -> list[list[str]]:
    return [TitleThinner()(TITLE, np.random.default_rng(seed)).split() for seed in range(count)]


def test_words_that_stay_keep_their_order() -> None:
    words = TITLE.split()
    for kept in thinned(50):
        assert kept and kept == [word for word in words if word in kept]


def test_a_share_between_the_limits_is_left_out() -> None:
    gone = 1 - np.mean([len(kept) for kept in thinned(2000)]) / len(TITLE.split())
    assert abs(gone - (MIN_SHARE + MAX_SHARE) / 2) < 0.05


def test_every_word_is_left_out_sometimes_and_the_seed_decides() -> None:
    titles = thinned(200)
    assert all(any(word not in kept for kept in titles) for word in TITLE.split())
    assert titles == thinned(200)


def test_a_single_word_stays() -> None:
    assert [TitleThinner()(title, np.random.default_rng(0)) for title in ("", "Shoe")] == ["", "Shoe"]
    thinner = TitleThinner({"shoe": 1.0, "red": 1.0})
    assert {len(thinner("Red Shoe", np.random.default_rng(seed)).split()) for seed in range(50)} == {1, 2}


def test_a_words_share_is_that_of_its_most_common_class() -> None:
    """Four shoes and four shirts; "sandal" is as pure as "shoe", but rare."""
    titles = ["Puma Shoe", "Puma shoe", "Nike SHOE", "Nike Sandal", *["Puma Shirt"] * 2, *["Nike Shirt"] * 2]
    shares = learn_thinner(titles, [0] * 4 + [1] * 4).class_shares
    assert shares == {"puma": 2 / 7, "shoe": 3 / 6, "nike": 2 / 7, "sandal": 1 / 4, "shirt": 4 / 7}


def test_half_of_the_titles_lose_their_most_informative_words() -> None:
    order = ["shoes", "running", "laces"]
    thinner = TitleThinner({word: 0.9 - 0.1 * place for place, word in enumerate(order)})
    gone = []
    for seed in range(2000):
        kept = thinner(TITLE, np.random.default_rng(seed)).casefold().split()
        gone.append(tuple(word for word in TITLE.casefold().split() if word not in kept))
    shares = [{*order[:count]} for count in range(1, MAX_INFORMATIVE + 1)]
    shares = [np.mean([set(words) == most for words in gone]) for most in shares]
    assert all(share > 0.5 / MAX_INFORMATIVE * 0.85 for share in shares) and sum(shares) < 0.6
