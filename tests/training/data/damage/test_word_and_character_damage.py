"""Single kinds of damage, with known results and shares."""

from collections.abc import Callable

import numpy as np
import pytest

from training.data.damage.characters import add_characters, exchange_characters, lose_characters, misread
from training.data.damage.words import add_words, join_words, reorder_words, shorten_words, split_words

TITLE = "Puma Men Grey Round Neck T-shirt"
LETTERS = sum(sign.isalnum() for sign in TITLE)
Damage = Callable[[str, float, np.random.Generator], str]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("damage", "change"),
    [(lose_characters, -1), (add_characters, 1), (exchange_characters, 0)],
    ids=str,
)
def test_a_fifth_of_the_letters_is_lost_added_or_exchanged(damage: Damage, change: int) -> None:
    lengths = [sum(sign.isalnum() for sign in damage(TITLE, 0.2, random(seed))) - LETTERS for seed in range(200)]
    assert np.mean(lengths) == pytest.approx(change * 0.2 * LETTERS, abs=0.15)


def test_exchanged_letters_are_other_letters() -> None:
    changed = [sum(map(str.__ne__, exchange_characters(TITLE, 0.2, random(seed)), TITLE)) for seed in range(200)]
    assert 0.17 * LETTERS < np.mean(changed) <= 0.2 * LETTERS  # one of 26 random letters is the same


def test_a_scanner_takes_letters_for_those_that_look_alike() -> None:
    assert misread("Slim Room 5", 1.0, random()) == "511rn n00rn S"
    assert misread("", 1.0, random()) == "" and misread("ش & -", 1.0, random()) == "ش & -"


@pytest.mark.parametrize(("share", "spaces"), [(0.0, 5), (0.4, 3), (1.0, 0)])
def test_spaces_go_and_letters_stay(share: float, spaces: int) -> None:
    joined = join_words(TITLE, share, random())
    assert joined.count(" ") == spaces and joined.replace(" ", "") == TITLE.replace(" ", "")


def test_words_are_split_within_words_only() -> None:
    pieces = split_words(TITLE, 0.2, random())
    assert pieces.replace(" ", "") == TITLE.replace(" ", "") and len(pieces.split()) > len(TITLE.split())
    assert split_words("a b", 1.0, random()) == "a b" and split_words("", 1.0, random()) == ""


def test_shortened_words_keep_their_first_letters() -> None:
    short = shorten_words(TITLE, 1.0, random()).split()
    assert all(
        2 <= len(cut) < len(word) and word.startswith(cut) for cut, word in zip(short, TITLE.split(), strict=True)
    )
    assert shorten_words("of a", 1.0, random()) == "of a"


def test_added_words_leave_the_order_of_the_others() -> None:
    words = add_words(TITLE, ["Nike", "Nike"], random()).split()
    assert words.count("Nike") == 2 and [word for word in words if word != "Nike"] == TITLE.split()
    assert add_words("", ["Nike"], random()) == "Nike"


def test_reordered_words_are_the_same_words() -> None:
    assert sorted(reorder_words(TITLE, random()).split()) == sorted(TITLE.split())
    assert reorder_words("", random()) == ""
