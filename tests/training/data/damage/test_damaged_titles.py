"""The damage for training: every kind occurs, no title is lost, and the seed decides."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.damage.titles import MAX_INFORMATIVE, TitleDamager, learn_damager

TITLE = "Puma Men Navy Blue Running Sports Shoes With Laces"
DAMAGER = TitleDamager({"shoes": 0.9, "running": 0.8}, ("Nike", "Jeans"))


def damaged(count: int, damager: TitleDamager = DAMAGER) -> list[str]:
    return [damager(TITLE, np.random.default_rng(seed)) for seed in range(count)]


def test_most_titles_change_and_the_seed_decides() -> None:
    titles = damaged(300)
    assert titles == damaged(300) and np.mean([title != TITLE for title in titles]) > 0.95


def test_all_kinds_occur() -> None:
    titles, own = damaged(1000), TITLE.split()
    words = [title.split() for title in titles]
    assert any(set(each) < set(own) for each in words), "words lost"
    assert any("Nike" in each and set(own) <= set(each) for each in words), "words added"
    assert any(" " not in title and title == TITLE.replace(" ", "") for title in titles), "words joined"
    assert any(len(each) > len(own) and "".join(each) == "".join(own) for each in words), "words split"
    assert any(each != own and Counter(each) == Counter(own) for each in words), "words reordered"
    assert any(len(each) == len(own) and all(map(str.startswith, own, each)) for each in words), "words shortened"
    assert any(each == own[:6] + own[7:] for each in words), "the most informative word lost"
    assert any(len(each) == len(own) and not set(each) & set(own[:4]) for each in words), "mistyped"


@given(title=st.text(max_size=60), seed=st.integers(0, 2**32))
def test_no_title_is_lost_and_none_appears(title: str, seed: int) -> None:
    assert bool(DAMAGER(title, np.random.default_rng(seed)).strip()) == bool(title.strip())


def test_without_words_none_are_added() -> None:
    own = set(TITLE.replace(" ", "").casefold())
    longest = max(len(title.split()) for title in damaged(500, TitleDamager()) if set(title.casefold()) <= {*own, " "})
    assert longest >= len(TITLE.split())
    assert not any("Nike" in title or "Jeans" in title for title in damaged(500, TitleDamager()))


def test_a_words_share_is_that_of_its_most_common_class() -> None:
    """Four shoes and four shirts; "sandal" is as pure as "shoe", but rare."""
    titles = ["Puma Shoe", "Puma shoe", "Nike SHOE", "Nike Sandal", *["Puma Shirt"] * 2, *["Nike Shirt"] * 2]
    damager = learn_damager(titles, [0] * 4 + [1] * 4)
    assert damager.class_shares == {"puma": 2 / 7, "shoe": 3 / 6, "nike": 2 / 7, "sandal": 1 / 4, "shirt": 4 / 7}
    assert damager.words == ("Nike", "Puma", "SHOE", "Sandal", "Shirt", "Shoe", "shoe")


@pytest.mark.parametrize("count", range(1, MAX_INFORMATIVE + 1))
def test_the_most_informative_words_are_left_out_together(count: int) -> None:
    order = ["shoes", "running", "laces"]
    damager = TitleDamager({word: 0.9 - 0.1 * place for place, word in enumerate(order)})
    gone = [set(TITLE.casefold().split()) - set(title.casefold().split()) for title in damaged(1000, damager)]
    assert sum(words == set(order[:count]) for words in gone) > 20
