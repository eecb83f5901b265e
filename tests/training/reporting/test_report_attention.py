"""Attention maps: the chosen words, and colour where the weight is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.reporting.sections.attention import (
    MAX_KEYS,
    PICTURE_SIZE,
    AttendedProduct,
    _heat,
    _panels,
    _strongest_keys,
    draw_attention,
    join_pieces,
    read_attention,
)


def test_pieces_become_words_and_padding_goes() -> None:
    weights = np.array([[0.1, 0.2, 0.3, 0.1, 0.3, 0.0]], dtype=np.float32)
    words, joined = join_pieces(["[none]", "[CLS]", "hand", "##bag", "red", ""], weights)
    assert words == ["[none]", "[CLS]", "handbag", "red"]
    assert joined.tolist() == [pytest.approx([0.1, 0.2, 0.2, 0.3])]


def test_a_title_that_starts_within_a_word_is_kept() -> None:
    assert join_pieces(["##bag", "##s"], np.ones((1, 2), dtype=np.float32))[0] == ["##bags"]


def test_even_attention_stays_even_however_many_pieces_a_word_has() -> None:
    _, joined = join_pieces(["[none]", "ri", "##vet", "##ta", "red"], np.full((4, 5), 0.2, dtype=np.float32))
    assert np.allclose(joined, 0.2)


def test_colour_lies_on_the_cell_that_attends() -> None:
    cells = np.zeros(49, dtype=np.float32)
    cells[1 * 7 + 5] = 1  # second row, sixth column
    opacity = _heat(cells)[..., 3]
    row, column = np.unravel_index(opacity.argmax(), opacity.shape)
    cell = PICTURE_SIZE / 7
    assert 1 <= row / cell < 2 and 5 <= column / cell < 6
    assert opacity[-1, 0] == 0


def test_the_null_key_and_the_strongest_words_are_shown_in_the_titles_order() -> None:
    weights = np.array([[0.0, 5, 1, 9, 2, 8, 7, 6, 3]], dtype=np.float32)
    assert _strongest_keys(weights) == [0, 1, 3, 5, 6, 7, 8]
    assert _strongest_keys(weights[:, :3]) == [0, 1, 2]
    assert _strongest_keys(weights[:, :1]) == [0]


def test_panels_name_what_they_show_and_share_one_scale() -> None:
    weights = np.tile(np.array([0.004, 0.196, 0.8], dtype=np.float32), (49, 1))
    picture = Image.new("RGB", (PICTURE_SIZE, PICTURE_SIZE), "navy")
    panels = list(_panels(AttendedProduct(picture, "Red Bag", ["[none]", "[CLS]", "bag"], weights)))
    assert [panel.name for panel in panels] == [
        "full colour 80 %",
        "null key <1 %",
        "[CLS], whole title 20 %",
        "bag 80 %",
    ]
    opacity = [panel.layers[1][..., 3].mean() for panel in panels[1:]]
    assert opacity[2] / opacity[1] == pytest.approx(0.8 / 0.196, rel=0.01)


@pytest.mark.parametrize("keys", [1, 4, 30])
@pytest.mark.parametrize("cells", [4, 49])
def test_titles_of_any_length_are_drawn(tmp_path: Path, keys: int, cells: int) -> None:
    weights = np.full((cells, keys), 1 / keys, dtype=np.float32)
    names = ["[none]", *(f"word{number}" for number in range(keys - 1))]
    product = AttendedProduct(Image.new("RGB", (PICTURE_SIZE, PICTURE_SIZE)), "", names, weights)
    draw_attention(tmp_path / "attention.png", [product, product])
    with Image.open(tmp_path / "attention.png") as picture:
        assert picture.height > 400
        assert (picture.width > 1300) is (keys > MAX_KEYS)


def test_what_training_wrote_is_read(trained_run: Path) -> None:
    for product, words, weights in read_attention(trained_run / "intermediate" / "attention.npz"):
        assert product and words[0] == "[none]" and not any(word.startswith("##") or not word for word in words)
        assert weights.shape[1] == len(words)
