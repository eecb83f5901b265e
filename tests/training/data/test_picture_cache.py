"""Pictures from the cache equal the served ones bit for bit, and are decoded once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.reading import Catalog, CatalogSource, read_catalog
from training.data.picture_cache import open_picture_cache

SIZES = [(30, 40), (64, 64), (65, 20), (200, 90), (90, 200)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    random = np.random.default_rng(0)
    rows = ["image,text,label"]
    for number, (width, height) in enumerate(SIZES):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,title,{'ab'[number % 2]}")
    (tmp_path / "products.csv").write_text("\n".join(rows))
    return read_catalog(CatalogSource(path=str(tmp_path / "products.csv")), progress=False)


@pytest.fixture(params=["pad", "squash"])
def preprocessor(request: pytest.FixtureRequest, tiny_bert: Path) -> ProductPreprocessor:
    settings = ProductSettings(
        model="early", attributes=(Attribute(name="label", labels=("a", "b")),), image_size=64, image_fit=request.param
    )
    return ProductPreprocessor(settings, tiny_bert / "tokenizer.json")


def test_fitted_pixels_are_those_of_the_file(
    catalog: Catalog, preprocessor: ProductPreprocessor, tmp_path: Path
) -> None:
    names = catalog.products["image"].tolist()
    cache = open_picture_cache(tmp_path / "cache", catalog, names, preprocessor)
    for name, size in zip(names, SIZES, strict=True):
        expected = preprocessor.fit(preprocessor.picture(catalog.image_bytes(name)))
        np.testing.assert_array_equal(np.asarray(preprocessor.fit(cache[name])), np.asarray(expected))
        assert cache[name].size == (size if max(size) <= 64 else (64, 64))


def test_a_second_call_decodes_nothing(
    catalog: Catalog, preprocessor: ProductPreprocessor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = catalog.products["image"].tolist()
    first = open_picture_cache(tmp_path / "cache", catalog, names, preprocessor)
    monkeypatch.setattr(Catalog, "image_bytes", lambda self, name: pytest.fail("read again"))
    second = open_picture_cache(tmp_path / "cache", catalog, names, preprocessor)
    assert all(first[name].tobytes() == second[name].tobytes() for name in names)


def test_an_unknown_picture_is_a_key_error(catalog: Catalog, preprocessor: ProductPreprocessor, tmp_path: Path) -> None:
    cache = open_picture_cache(tmp_path / "cache", catalog, catalog.products["image"].tolist(), preprocessor)
    with pytest.raises(KeyError):
        cache["other.png"]
