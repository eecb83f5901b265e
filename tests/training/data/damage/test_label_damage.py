"""Damage to titles, with known results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.damage.characters import mistype
from training.data.damage.draws import product_random
from training.data.damage.labels import drop_label_words, swap_titles
from training.data.damage.words import mask_words

TITLE = "Puma Men Grey Round Neck T-shirt"


@pytest.mark.parametrize(
    ("title", "label", "left"),
    [
        ("Puma Men's Grey T-shirt", "Tshirts", "Puma Men's Grey"),
        ("T Shirt, tshirts (T-SHIRT) in blue", "Tshirts", "in blue"),
        ("Nike Tee", "Tshirts", "Nike Tee"),  # a synonym is another word
        ("Nike Sweatshirt", "Tshirts", "Nike Sweatshirt"),
        ("Nike Sweat Shirt", "Sweatshirts", "Nike"),
        ("Fila Flip-Flop and flipflops", "Flip Flops", "Fila and"),
        ("Red Tape Men Casual Black Shoe", "Casual Shoes", "Red Tape Men Black"),
        ("Body Lotion and Mist", "Perfume and Body Mist", "Lotion and"),  # "and" says nothing of the category
        ("Titan Watch", "Watches", "Titan"),
        ("Titan Smartwatch", "Watches", "Titan Smartwatch"),
        ("Silk scarf", "Scarves", "Silk"),
        ("Woman's Belt", "Women", "Belt"),
        ("Cap of a Cape", "Caps", "of a Cape"),
        ("Glass Clasp", "Glasses", "Clasp"),
        ("Baby  body", "Babies", "body"),
        ("Shirt", "Shirts", ""),
        ("Reid & Taylor  Shirt", "Belts", "Reid & Taylor  Shirt"),  # untouched, its spaces too
        ("Reid & Taylor Shirt", "Shirts", "Reid & Taylor"),
        ("शर्ट Shirt", "Shirts", "शर्ट"),
        ("", "Shirts", ""),
        ("Shirt", "&", "Shirt"),
    ],
)
def test_the_labels_own_words_go_and_no_others(title: str, label: str, left: str) -> None:
    assert drop_label_words(title, label) == left


def test_masked_words_leave_the_others_in_their_order() -> None:
    left = mask_words(TITLE, 0.5, np.random.default_rng(0)).split()
    assert len(left) == 3
    assert left == [word for word in TITLE.split() if word in left]


def test_a_larger_share_masks_the_same_words_and_more() -> None:
    for seed in range(20):
        few, many = (set(mask_words(TITLE, share, np.random.default_rng(seed)).split()) for share in (0.15, 0.5))
        assert many < few


def test_shares_hold_on_average() -> None:
    masked = [6 - len(mask_words(TITLE, 0.15, np.random.default_rng(seed)).split()) for seed in range(2000)]
    assert set(masked) == {0, 1} and np.mean(masked) == pytest.approx(0.15 * 6, abs=0.05)


def test_one_word_always_stays() -> None:
    assert mask_words("Shirt", 1.0, np.random.default_rng(0)) == "Shirt"
    assert len(mask_words("Blue Shirt", 1.0, np.random.default_rng(0)).split()) == 1


class Dice:
    """A stand-in for a generator: it draws the first places and a given kind of typo."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def random(self) -> float:
        return 0.0

    def permutation(self, count: int) -> np.ndarray:
        return np.arange(count)

    def integers(self, high: int) -> int:
        return self.kind if high == 4 else 0


@pytest.mark.parametrize(
    ("kind", "typo"), [(0, "Rot-shirt"), (1, "ot-shirt"), (2, "TTot-shirt"), (3, "oTt-shirt")], ids=str
)
def test_the_four_slips(kind: int, typo: str) -> None:
    # one of the eight letters; the key on the left of "t" is "r"
    assert mistype("Tot-shirt", 1 / 8, Dice(kind)) == typo


def test_typos_spare_spaces_and_signs() -> None:
    assert mistype("- & -", 1.0, np.random.default_rng(0)) == "- & -"
    assert mistype("", 1.0, np.random.default_rng(0)) == ""


def test_the_stronger_the_more_typos() -> None:
    def kept(share: float) -> float:
        typed = [mistype(TITLE, share, np.random.default_rng(seed)).split() for seed in range(200)]
        return float(np.mean([len(set(words) & set(TITLE.split())) for words in typed]))

    assert 6 > kept(0.1) > kept(0.2) > 0


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.text(max_size=15), st.floats(0, 1), st.integers(0, 9))
def test_nothing_breaks_on_any_text(title: str, label: str, share: float, seed: int) -> None:
    for damaged in (
        mask_words(title, share, np.random.default_rng(seed)),
        mistype(title, share, np.random.default_rng(seed)),
        drop_label_words(title, label),
    ):
        assert len(damaged) <= 2 * len(title)
    assert bool(mask_words(title, share, np.random.default_rng(seed)).split()) == bool(title.split())


def test_a_product_draws_the_same_alone_and_among_others() -> None:
    first, again = (product_random(0, "15970", "mask").random() for _ in range(2))
    others = {product_random(*each).random() for each in [(1, "15970", "mask"), (0, "1597", "mask"), (0, "15970", "x")]}
    assert first == again
    assert first not in others and len(others) == 3


def test_a_title_is_swapped_with_one_of_another_label() -> None:
    ids, labels = [str(number) for number in range(60)], ["Bags", "Shoes", "Belts"] * 20
    titles = [f"{label} {number}" for number, label in enumerate(labels)]
    swapped = swap_titles(ids, titles, labels, seed=0)
    assert set(swapped) <= set(titles)
    assert all(not title.startswith(label) for title, label in zip(swapped, labels, strict=True))
    backwards = swap_titles(ids[::-1], titles[::-1], labels[::-1], seed=0)
    assert backwards[::-1] == swapped != swap_titles(ids, titles, labels, seed=1)


def test_what_cannot_be_swapped_stays() -> None:
    assert swap_titles(["a", "b"], ["x", "y"], ["Bags", "Bags"], seed=0) == ["x", "y"]
    assert swap_titles(["a", "b", "c"], ["x", "", "z"], ["Bags", "Bags", "Shoes"], seed=0) == ["z", "", "x"]
