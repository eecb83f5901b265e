"""The ids of a title's letters: the same on every machine, whatever the script, and never more than agreed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.product_serving.titles.ngrams import BUCKETS, MAX_NGRAMS, PADDING, folded, ngram_ids


def shared(one: str, other: str) -> float:
    """Share of the first title's distinct ids that the other one has too."""
    ids = set(ngram_ids(one).tolist())
    return len(ids & set(ngram_ids(other).tolist())) / len(ids)


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert ngram_ids("Red").tolist() == [49388, 108825, 44574, 95, 131049, 12680, 87413, 101974, 129362, 116741, 93917]


def test_words_pairs_and_ngrams_within_words() -> None:
    # of "red shoe": 2 words, 1 pair; " red " has 4 + 3 + 2 + 1 n-grams, " shoe " has 5 + 4 + 3 + 2
    assert len(ngram_ids("red shoe")) == 2 + 1 + 10 + 14
    assert len(ngram_ids("a")) == 1 + 2 + 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KADIN İÇLİK", "kadın içlik"),  # Turkish: İ, I, ı and i are one letter
        ("DIŞ GİYİM ışıltılı", "dış giyim IŞILTILI"),
        ("Große Größe", "GROSSE GRÖSSE"),
        ("Größe", "Gro\u0308ße"),
        ("Café Crème", "cafe creme"),
        ("Ελληνικός", "ΕΛΛΗΝΙΚΌΣ"),
    ],
)
def test_case_and_accents_are_folded(one: str, other: str) -> None:
    assert folded(one) == folded(other) and ngram_ids(one).tolist() == ngram_ids(other).tolist()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("N\u0456k\u0435 Sh\u043ees", "nike shoes"),  # Cyrillic letters that look like Latin ones
        ("\u0391didas Bl\u03c5e", "adidas blue"),  # Greek
        ("\u041e\u0431\u0443\u0432\u044c Nike", "\u043e\u0431\u0443\u0432\u044c nike"),  # a word of one script stays
        ("s h o e s for Men", "shoes for men"),
        ("Shirt S M L", "shirt s m l"),  # three sizes are no word
    ],
)
def test_a_title_is_read_as_it_looks(written: str, read: str) -> None:
    assert folded(written) == read


@pytest.mark.parametrize(("one", "other"), [("ハック", "バッグ"), ("はし", "ばし"), ("حِذاء", "حُذاء"), ("कमीज", "कमज")])
def test_marks_of_other_scripts_make_other_letters(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@pytest.mark.parametrize("title", ["قميص رجالي أزرق", "メンズ シャツ 青", "男士蓝色衬衫", "पुरुषों की नीली कमीज", "👕 👖"])
def test_every_script_has_ids(title: str) -> None:
    assert len(ngram_ids(title)) > 2 and shared(title, title) == 1


def test_a_misspelled_title_keeps_many_ids() -> None:
    title = "Puma Men Running Shoes"
    assert shared(title, "Puna Men Runing Sheos") > 0.35
    assert shared(title, "PumaMenRunningShoes") > 0.55
    assert shared(title, "Titan Women Analogue Watch") < 0.15


@given(st.text(max_size=400))
def test_ids_are_within_their_bounds(title: str) -> None:
    ids = ngram_ids(title)
    assert ids.dtype == np.int64 and len(ids) <= MAX_NGRAMS and bool(len(ids)) == bool(folded(title)[:150].split())
    assert not len(ids) or (ids.min() > PADDING and ids.max() < BUCKETS)


@pytest.mark.parametrize("title", ["a " * 400, "ab " * 300, "x" * 400, "a bc def ghij klmno " * 20])
def test_a_long_title_has_no_more_ids_than_agreed(title: str) -> None:
    assert 200 < len(ngram_ids(title)) <= MAX_NGRAMS
