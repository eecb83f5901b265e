"""The built-in catalogue: its contents, equal files for equal seeds, and neither modality is enough."""

import csv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from training.catalog import drawn as sample_catalog
from training.catalog.drawing import DRAWINGS, PATTERNS, SHARED_DRAWINGS
from training.catalog.drawn import (
    BOTH_SHARE,
    COLOURS,
    NOUNS,
    VAGUE_SHARE,
    SampleProduct,
    draw_product,
    plan_products,
    write_sample_catalog,
)
from training.catalog.reading import CatalogError, CatalogSource, read_catalog


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_catalog(tmp_path_factory.mktemp("sample") / "shop", per_class=6, seed=0, progress=False)


def product(category: str, **changes: Any) -> SampleProduct:
    values = {
        "title": "",
        "colour": "Navy",
        "pattern": "Solid",
        "title_names_category": True,
        "picture_shows_product": True,
        **changes,
    }
    return SampleProduct(category=category, **values)


def test_every_category_has_its_drawing_its_shared_picture_and_its_words() -> None:
    assert len(DRAWINGS) >= 8
    assert set(DRAWINGS) == set(SHARED_DRAWINGS) == set(NOUNS)
    assert min(Counter(draw.__name__ for draw in SHARED_DRAWINGS.values()).values()) > 1


def test_as_many_products_are_vague_as_designed() -> None:
    products = plan_products(per_class=100, seed=0)
    for category in DRAWINGS:
        mine = [each for each in products if each.category == category]
        assert len(mine) == 100
        assert sum(not each.title_names_category for each in mine) == round(100 * VAGUE_SHARE)
        assert sum(not each.picture_shows_product for each in mine) == round(100 * VAGUE_SHARE)
        assert sum(not each.title_names_category and not each.picture_shows_product for each in mine) == round(
            100 * BOTH_SHARE
        )


def test_a_title_names_the_category_exactly_if_it_is_planned_to() -> None:
    for each in plan_products(per_class=40, seed=1):
        nouns = {
            noun: category for category, names in NOUNS.items() for noun in names if each.title.endswith(f" {noun}")
        }
        assert set(nouns.values()) == ({each.category} if each.title_names_category else set())
        assert f" {each.colour} " in each.title
        assert (each.pattern == "Solid") == (each.pattern not in each.title)


def test_the_order_and_the_file_names_say_nothing_of_the_category(shop: Path) -> None:
    with shop.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"images/{number:05d}.jpg" for number in range(1, 61)]
    labels = [row["label"] for row in rows]
    assert sum(a == b for a, b in pairwise(labels)) < 20


def test_a_vague_picture_is_the_same_whichever_category_shares_it() -> None:
    pictures: dict[str, set[bytes]] = {}
    for category, draw in SHARED_DRAWINGS.items():
        picture = draw_product(product(category, picture_shows_product=False), seed=5)
        pictures.setdefault(draw.__name__, set()).add(picture.tobytes())
    assert [len(same) for same in pictures.values()] == [1, 1]


@pytest.mark.parametrize("category", DRAWINGS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_drawing_shows_its_colour_on_a_bright_backdrop_and_depends_on_the_seed(category: str, pattern: str) -> None:
    one, same, other = (draw_product(product(category, pattern=pattern, colour="Red"), seed=seed) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes() != other.tobytes()
    for picture in (one, other):
        pixels = np.asarray(picture, dtype=np.int16)
        red = pixels[..., 0] - pixels[..., 1:].max(axis=2) > 60
        assert red.mean() > (0.005 if category == "Sunglasses" else 0.05)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert np.median(border) > 200


def test_pictures_have_several_proportions() -> None:
    sizes = {draw_product(product("Caps"), seed=seed).size for seed in range(12)}
    assert {width / height for width, height in sizes} == {3 / 4, 1, 4 / 3}


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_can_be_drawn(colour: str) -> None:
    pixels = np.asarray(draw_product(product("Caps", colour=colour), seed=3))
    assert pixels.std() > 5


def test_the_written_catalogue_is_read_without_a_rejected_row(shop: Path) -> None:
    for path in (shop, shop.parent):
        catalog = read_catalog(CatalogSource(path=str(path)), max_rejected=0, progress=False)
        assert catalog.products["label"].value_counts().to_dict() == dict.fromkeys(DRAWINGS, 6)


def test_equal_seeds_write_equal_files_and_other_seeds_others(shop: Path, tmp_path: Path) -> None:
    again = write_sample_catalog(tmp_path / "again", per_class=6, seed=0, progress=False)
    other = write_sample_catalog(tmp_path / "other", per_class=6, seed=1, progress=False)
    for name in ("products.csv", "images/00001.jpg", "images/00060.jpg"):
        assert (
            (again.parent / name).read_bytes()
            == (shop.parent / name).read_bytes()
            != (other.parent / name).read_bytes()
        )


def test_a_complete_catalogue_is_kept_as_it_is(shop: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in shop.parent.rglob("*")}
    assert write_sample_catalog(shop.parent, per_class=6, seed=0, progress=False) == shop
    assert {path: path.stat().st_mtime_ns for path in shop.parent.rglob("*")} == before


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    shop = write_sample_catalog(tmp_path / "shop", per_class=1, progress=False)
    with pytest.raises(CatalogError, match=r'another sample catalogue .*"per_class": 1.*: delete it or choose another'):
        write_sample_catalog(shop.parent, per_class=2, progress=False)
    (shop.parent / "images" / "00003.jpg").unlink()
    with pytest.raises(CatalogError, match="damaged"):
        write_sample_catalog(shop.parent, per_class=1, progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(CatalogError, match="holds other files: choose another folder"):
        write_sample_catalog(tmp_path / "mine", per_class=1, progress=False)
    with pytest.raises(CatalogError, match="per_class must be > 0, got 0"):
        write_sample_catalog(tmp_path / "none", per_class=0, progress=False)


def test_an_interrupted_catalogue_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0

    def interrupted(each: SampleProduct, *, seed: tuple[int, int]) -> Image.Image:
        nonlocal drawn
        drawn += 1
        if drawn == 5:
            raise KeyboardInterrupt
        return draw_product(each, seed=seed)

    monkeypatch.setattr(sample_catalog, "draw_product", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_sample_catalog(tmp_path / "deep" / "shop", per_class=1, progress=False)
    assert list((tmp_path / "deep").iterdir()) == []


def test_two_writers_of_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write_sample_catalog, tmp_path / "shop", per_class=1, progress=False) for _ in range(3)]
    assert {writer.result() for writer in writers} == {tmp_path / "shop" / "products.csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert len(list((tmp_path / "shop" / "images").iterdir())) == 10


def gradients(picture: Image.Image) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Histograms of eight edge directions in 8x8 cells, a simple shape descriptor: (512,) float32."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), picture.getpixel((0, 0)))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    grey = np.asarray(square.convert("L").resize((64, 64), Image.Resampling.BOX), dtype=np.float32)
    down, right = np.gradient(grey)
    direction = (np.arctan2(down, right) % np.pi / np.pi * 8).astype(int) % 8
    strength = np.hypot(right, down)
    cells = [np.where(direction == each, strength, 0).reshape(8, 8, 8, 8).sum((1, 3)) for each in range(8)]
    histogram = np.stack(cells)
    flat = histogram.ravel() / (np.linalg.norm(histogram) + 1e-6)
    return np.asarray(np.sqrt(flat), dtype=np.float32)


def test_neither_titles_nor_pictures_are_enough_but_both_together_nearly_are() -> None:
    products = plan_products(per_class=40, seed=0)
    labels = [each.category for each in products]
    titles = TfidfVectorizer().fit_transform([each.title for each in products])
    pictures = csr_matrix(np.stack([gradients(draw_product(each, seed=(0, n))) for n, each in enumerate(products)]))

    def right(features: csr_matrix) -> np.ndarray[Any, np.dtype[np.bool_]]:
        model = LogisticRegression(C=10, max_iter=1000)
        return np.asarray(cross_val_predict(model, features, labels, cv=4) == labels, dtype=bool)

    by_title, by_picture = right(titles), right(pictures)
    by_both = right(hstack([titles, pictures]).tocsr())
    title_names_category = np.array([each.title_names_category for each in products])
    picture_shows_product = np.array([each.picture_shows_product for each in products])
    assert by_title[title_names_category].mean() > 0.9 and by_title[~title_names_category].mean() < 0.3
    assert by_picture[picture_shows_product].mean() > 0.9 and by_picture[~picture_shows_product].mean() < 0.4
    assert max(by_title.mean(), by_picture.mean()) < 0.85
    assert by_both.mean() > max(by_title.mean(), by_picture.mean()) + 0.08
