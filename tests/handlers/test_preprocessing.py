"""Pixels and tokens: equal on every machine, proportions kept, titles normalised, batches padded."""

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import BLUE, GREEN, GREY, RED, draw, encode
from PIL import Image
from serving import TITLES
from tokenizers import Tokenizer

from handlers.product_serving.errors import ProductError
from handlers.product_serving.preprocessing import ProductPreprocessor, collate
from handlers.product_serving.settings import ProductSettings

WHITE = (255, 255, 255)


@pytest.fixture(scope="session")
def squashing(settings: ProductSettings, tokenizer_file: Path) -> ProductPreprocessor:
    return ProductPreprocessor(dataclasses.replace(settings, image_fit="squash"), tokenizer_file)


def test_padding_keeps_proportions_on_white(preprocessor: ProductPreprocessor) -> None:
    pixels = preprocessor.pixels(encode(draw(80, 40)))
    assert pixels.shape == (3, 32, 32) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    rows = pixels.transpose(1, 2, 0)
    assert (rows[:8] == WHITE).all() and (rows[24:] == WHITE).all()
    np.testing.assert_allclose(rows[[12, 12, 20, 20], [8, 24, 8, 24]], [RED, GREEN, BLUE, GREY], atol=1)
    tall = preprocessor.pixels(encode(draw(40, 80))).transpose(1, 2, 0)
    assert (tall[:, :8] == WHITE).all() and (tall[:, 24:] == WHITE).all()


def test_squashing_fills_the_square(squashing: ProductPreprocessor) -> None:
    rows = squashing.pixels(encode(draw(80, 40))).transpose(1, 2, 0)
    np.testing.assert_allclose(rows[[2, 2, 29, 29], [2, 29, 2, 29]], [RED, GREEN, BLUE, GREY], atol=1)


def test_small_pictures_grow_and_large_ones_are_averaged(preprocessor: ProductPreprocessor) -> None:
    assert (preprocessor.pixels(encode(Image.new("RGB", (2, 2), RED))) == np.array(RED)[:, None, None]).all()
    board = np.indices((512, 512)).sum(0) % 2 * 255
    grey = preprocessor.pixels(encode(Image.fromarray(board.astype(np.uint8))))
    assert abs(grey.astype(int) - 127).max() <= 2  # a resize without antialiasing would show black or white


def test_pixels_are_the_same_everywhere(preprocessor: ProductPreprocessor) -> None:
    """Training, verification and serving may run on different machines, so the values are fixed here."""
    ramp = np.add.outer(np.arange(90) * 2, np.arange(60)).astype(np.uint8)
    pixels = preprocessor.pixels(encode(Image.fromarray(np.stack([ramp, ramp.max() - ramp, ramp // 2], 2))))
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    assert digest == "1857c04abe0d147fec5cc1eb367a3521983d2efc86cbf32a052ef0bc1b82db15"


def test_a_picture_alone_is_not_resized(preprocessor: ProductPreprocessor) -> None:
    """Training augments between the two steps; without augmentation they must equal serving."""
    image = encode(draw(80, 40))
    picture = preprocessor.picture(image)
    assert picture.size == (80, 40) and picture.mode == "RGB"
    assert np.array_equal(np.asarray(preprocessor.fit(picture)).transpose(2, 0, 1), preprocessor.pixels(image))


@pytest.mark.parametrize(
    ("sent", "tidy"),
    [
        ("  Red \t shirt\n", "Red shirt"),
        ("Red\0\x01\x1b\x85\x9fshirt", "Red shirt"),
        ("\uff2e\uff29\uff2b\uff25 \ufb01ne \u00bd", "NIKE fine 1\u20442"),
        ("cafe\u0301", "caf\u00e9"),
        ("\U0001f45f shoe", "\U0001f45f shoe"),
        ("\u00a0\u3000", ""),
        ("", ""),
    ],
)
def test_titles_are_tidied(preprocessor: ProductPreprocessor, sent: str, tidy: str) -> None:
    assert preprocessor.title(sent) == tidy


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_tidying_twice_changes_nothing(preprocessor: ProductPreprocessor, text: str) -> None:
    once = preprocessor.title(text)
    assert preprocessor.title(once) == once


@pytest.mark.parametrize(
    ("text", "kind"), [("a" * 10_001, "text_too_long"), ("a\ud800", "invalid_text"), ("\udfff", "invalid_text")]
)
def test_titles_that_are_refused(preprocessor: ProductPreprocessor, text: str, kind: str) -> None:
    with pytest.raises(ProductError) as caught:
        preprocessor.tokens(text)
    assert caught.value.type == kind


def test_tokens_are_cut_and_closed(preprocessor: ProductPreprocessor, tokenizer_file: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    short, long = preprocessor.tokens("Red Cotton Shirt"), preprocessor.tokens("red " * 2000)
    assert short.dtype == np.int64 and short.tolist() == tokenizer.encode("red cotton shirt").ids
    assert len(long) == 16 and (long[0], long[-1]) == (2, 3) and len(set(long[1:-1].tolist())) == 1
    assert preprocessor.tokens("").tolist() == [2, 3]


def test_characters_cut_before_tokenising_yield_no_tokens(
    preprocessor: ProductPreprocessor, tokenizer_file: Path
) -> None:
    """The cut saves time only: it keeps the longest words that yield tokens."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.enable_truncation(16)
    text = " ".join(["q" * 100] * 90)
    assert preprocessor.tokens(text).tolist() == tokenizer.encode(text).ids


def test_special_tokens_in_a_title_are_text(preprocessor: ProductPreprocessor) -> None:
    ids = preprocessor.tokens("[CLS] shoe [SEP] [PAD] [MASK]")[1:-1]
    assert not set(ids.tolist()) & {0, 2, 3, 4}


@pytest.mark.parametrize("text", [None, "", " ", "\u200b", "\0"])
def test_a_missing_title(preprocessor: ProductPreprocessor, text: str | None) -> None:
    product = preprocessor(encode(draw()), text)
    assert product.input_ids.tolist() == [2, 3] and product.attention_mask.tolist() == [1, 1]
    assert product.present.tolist() == [True, False] and product.present.dtype == np.bool_


def test_a_missing_picture_is_white(preprocessor: ProductPreprocessor) -> None:
    product = preprocessor(None, "shoe")
    assert product.image.shape == (3, 32, 32) and (product.image == 255).all()
    assert product.present.tolist() == [False, True]


def test_batches_are_padded_to_their_longest(preprocessor: ProductPreprocessor) -> None:
    products = [
        preprocessor(None, "shoe"),
        preprocessor(encode(draw()), "red cotton shirt for men"),
        preprocessor(None, ""),
    ]
    batch = collate(products)
    length = len(products[1].input_ids)
    assert batch.image.shape == (3, 3, 32, 32) and batch.image.dtype == np.uint8
    assert batch.input_ids.shape == batch.attention_mask.shape == (3, length)
    for row, product in enumerate(products):
        own = len(product.input_ids)
        assert batch.input_ids[row, :own].tolist() == product.input_ids.tolist()
        assert not batch.input_ids[row, own:].any() and not batch.attention_mask[row, own:].any()
        assert batch.attention_mask[row, :own].all()
    assert batch.present.tolist() == [[False, True], [True, True], [False, False]]


def test_an_empty_batch_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one product"):
        collate([])


def test_threads_do_not_disturb_each_other(preprocessor: ProductPreprocessor) -> None:
    inputs = [(encode(draw(40 + number, 50)), f"shoe {number} " * (number % 5)) for number in range(40)]
    alone = [preprocessor(*pair) for pair in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda pair: preprocessor(*pair), inputs * 3))
    for number, product in enumerate(together):
        assert all(np.array_equal(one, other) for one, other in zip(product, alone[number % 40], strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Red Cotton Shirt", ["Red", "Cotton", "Shirt"]),
        ("  Red\tT-Shirt,\n(blue) ", ["Red", "T-Shirt,", "(blue)"]),
        ("\ufb01ne \u00c9t\u00e9 \U0001f45f", ["fine", "\u00c9t\u00e9", "\U0001f45f"]),
        ("[SEP] \u200b red", ["[SEP]", "red"]),
        ("", []),
        (" \u200b ", []),
    ],
)
def test_words_are_whole_and_cover_the_tokens(preprocessor: ProductPreprocessor, text: str, words: list[str]) -> None:
    found = preprocessor.words(text)
    assert [word.text for word in found] == words
    edges = [1] + [word.stop for word in found]
    assert [word.start for word in found] == edges[:-1] and edges[-1] == len(preprocessor.tokens(text)) - 1


def test_a_title_without_a_word_has_the_tokens_of_the_rest(preprocessor: ProductPreprocessor) -> None:
    for word in preprocessor.words(TITLES[0]):
        rest = " ".join(other for other in TITLES[0].split() if other != word.text)
        shorter = np.delete(preprocessor.tokens(TITLES[0]), np.arange(word.start, word.stop))
        np.testing.assert_array_equal(shorter, preprocessor.tokens(rest))


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("\u200b" * 3232, id="invisible"),
        pytest.param("\u200d\ufeff\u00ad" * 2000, id="joiners, byte order marks, soft hyphens"),
        pytest.param("\u0301" * 3232 + " ", id="accents without a letter"),
        pytest.param("\0\u202e" * 2000, id="control characters"),
        pytest.param("x" * 5000 + " ", id="a word that becomes one unknown token"),
        pytest.param("\u2800" * 4000 + " ", id="blank symbols"),
        pytest.param(" \t\n\u3000" * 2000, id="white space"),
    ],
)
def test_what_vanishes_before_a_title_does_not_cut_it(preprocessor: ProductPreprocessor, before: str) -> None:
    ends = [preprocessor.tokens(text)[-3:].tolist() for text in ("shoe", before + "red shoe")]
    assert ends[1][-2:] == ends[0][-2:]
    assert preprocessor(None, before + "red shoe").present[1]


@given(
    st.lists(st.sampled_from(["\u200b", "\u0301", "x", "\u9774", ".", " ", "shoe"]), min_size=1, max_size=8),
    st.integers(1, 700),
)
def test_long_titles_have_the_tokens_of_their_whole_text(
    preprocessor: ProductPreprocessor, tokenizer_file: Path, parts: list[str], times: int
) -> None:
    title = preprocessor.title(("".join(parts) * times + " red shoe")[: preprocessor.settings.max_text_chars])
    whole = Tokenizer.from_file(str(tokenizer_file))
    whole.enable_truncation(preprocessor.settings.max_tokens)
    assert preprocessor.tokens(title).tolist() == whole.encode(title).ids
