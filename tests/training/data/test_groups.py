"""Groups of products that a split must not divide, on pictures with known similarity."""

import io
import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from training.catalog.reading import Catalog, CatalogSource, read_catalog
from training.data.groups import fingerprint, neighbours, normalised_title, product_groups, similar_pictures


def drawn(seed: int) -> Image.Image:
    """A picture unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (60, 80), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        (x0, x1), (y0, y1) = np.sort(rng.integers(0, 60, 2)), np.sort(rng.integers(0, 80, 2))
        pen.rectangle((int(x0), int(y0), int(x1), int(y1)), fill=tuple(int(value) for value in rng.integers(0, 255, 3)))
    return picture


def encoded(picture: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def catalogue(folder: Path, products: Sequence[tuple[bytes | None, str]]) -> Catalog:
    rows = []
    for number, (image, title) in enumerate(products):
        name = "" if image is None else f"{number}.jpg"
        if image is not None:
            (folder / name).write_bytes(image)
        rows.append({"image": name, "text": title, "label": "Caps"})
    pd.DataFrame(rows).to_csv(folder / "products.csv", index=False)
    return read_catalog(CatalogSource(path=str(folder)), max_rejected=0, progress=False)


def groups(catalog: Catalog) -> list[int]:
    found = product_groups(catalog, catalog.products, progress=False)
    assert found.dtype == np.int64
    return [int(group) for group in found]


@pytest.mark.parametrize(
    ("title", "normalised"),
    [
        ("Marlow Men  Navy T-Shirt!", "marlow men navy t shirt"),
        ("MARLOW men navy_t shirt", "marlow men navy t shirt"),
        (" ﬁne Größe\t", "fine grösse"),
        ("...", ""),
    ],
)
def test_titles_are_compared_without_case_punctuation_and_spacing(title: str, normalised: str) -> None:
    assert normalised_title(title) == normalised


def test_equal_titles_files_and_near_identical_pictures_are_one_group_each(tmp_path: Path) -> None:
    same = encoded(drawn(1))
    products = [
        (encoded(drawn(2)), "Navy T-shirt"),
        (same, "Red Cap"),
        (encoded(drawn(3)), "navy  t shirt"),
        (same, "Blue Cap"),
        (encoded(drawn(4)), "Green Cap"),
        (encoded(drawn(4), quality=60), "Olive Cap"),
        (encoded(drawn(5)), "Grey Cap"),
    ]
    assert groups(catalogue(tmp_path, products)) == [0, 1, 0, 1, 2, 2, 3]


def test_links_of_different_kinds_add_up_to_one_group(tmp_path: Path) -> None:
    first, second = encoded(drawn(1)), encoded(drawn(2))
    products = [(first, "Cap"), (second, "Hat"), (None, "Beret"), (first, "Hat"), (second, "Beret")]
    assert groups(catalogue(tmp_path, products)) == [0] * 5


def test_missing_pictures_and_titles_link_nothing(tmp_path: Path) -> None:
    products = [
        (None, "Cap"),
        (None, "Hat"),
        (encoded(drawn(1)), ""),
        (encoded(drawn(2)), ""),
        (encoded(drawn(3)), "!"),
    ]
    assert groups(catalogue(tmp_path, products)) == [0, 1, 2, 3, 4]


def test_flat_pictures_are_not_near_identical(tmp_path: Path) -> None:
    flat = [Image.new("RGB", (60, 80), colour) for colour in ("white", "black", "red", "navy")]
    products = [(encoded(picture), f"Cap {number}") for number, picture in enumerate(flat)]
    assert groups(catalogue(tmp_path, products)) == [0, 1, 2, 3]


def test_one_shape_in_two_colours_is_linked_only_by_an_equal_hash() -> None:
    base = fingerprint(encoded(drawn(1)), name="a.jpg")
    bits = [1 << bit for bit in range(64)]
    swapped = (
        base.phash ^ next(bit for bit in bits if base.phash & bit) ^ next(bit for bit in bits if not base.phash & bit)
    )
    other = base.thumbnail // 2
    prints = [
        base,
        base._replace(phash=swapped),
        base._replace(phash=swapped, thumbnail=other),
        base._replace(thumbnail=other),
    ]
    assert similar_pictures([prints[0], prints[2]]).tolist() == [[0, 0], [1, 1]]
    assert {(0, 0), (1, 1), (1, 2), (0, 3), (0, 1)} == {
        tuple(sorted(link)) for link in similar_pictures(prints).tolist()
    }


def test_without_similar_pictures_there_are_no_links() -> None:
    assert similar_pictures([]).shape == (0, 2)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_neighbours_equal_those_of_a_full_comparison(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = set()
    for _ in range(12):
        bits = rng.permutation(np.repeat([True, False], 32))
        for _ in range(4):
            hashes.add(int("".join("1" if bit else "0" for bit in bits), 2))
            on, off = rng.choice(np.flatnonzero(bits)), rng.choice(np.flatnonzero(~bits))
            bits[[on, off]] = bits[[off, on]]
    known = np.array(sorted(hashes), dtype=np.uint64)
    expected = {
        (a, b) for a, b in combinations(range(len(known)), 2) if (int(known[a]) ^ int(known[b])).bit_count() == 2
    }
    found = [(min(pair), max(pair)) for pair in neighbours(known).tolist()]
    assert set(found) == expected and len(found) == len(expected)


def test_a_title_shared_by_many_products_gives_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    products = [(encoded(drawn(number)), "Cap" if number < 4 else f"Hat {number}") for number in range(20)]
    with caplog.at_level(logging.WARNING):
        assert len(set(groups(catalogue(tmp_path, products)))) == 17
    assert "4 of 20 products are one group" in caplog.text and "'Cap'" in caplog.text
