"""What the page suggests of a table, says about a threshold, and offers to copy."""

import ast
import shlex
from pathlib import Path
from typing import Any

import pytest
from fake_torchserve import FakeTorchServe

from client.api.management import Management
from client.page.catalog_columns import lacks_pictures, read_columns
from client.page.product.api_examples import api_examples
from client.page.product.explained_answers import ModelChoice, PageServer, review_threshold
from training.catalog import CatalogSource, likely_columns

CHOICE = ModelChoice("intermediate", "1.0")
SETTINGS: dict[str, Any] = {
    "attributes": [{"name": "label", "labels": ["a"], "review_threshold": 0.6}, {"name": "b", "labels": ["c"]}],
    "one_modality": [{"modality": "image", "review_thresholds": [0.9, 0.1]}],
}


@pytest.mark.parametrize(
    ("header", "image", "text", "id"),
    [
        (["id", "image", "text"], "image", "text", "id"),
        (["Text", "IMAGE", "label"], "IMAGE", "Text", ""),
        (["sku", "photo", "product title"], "photo", "product title", "sku"),
        (["id", "productDisplayName", "articleType"], "image", "productDisplayName", "id"),
        (["title"], "", "title", ""),
        (["a", "b"], "", "", ""),
        (
            ["Handle", "Title", "Body (HTML)", "Vendor", "Type", "Image Src", "Variant SKU"],
            "Image Src",
            "Title",
            "Handle",
        ),
    ],
)
def test_columns_are_suggested_by_their_names(header: list[str], image: str, text: str, id: str) -> None:
    found = likely_columns(header)
    assert (found["image"], found["text"], found["id"]) == (image, text, id)


def test_a_table_lists_its_columns_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;titel;;bild\n1;Schuh;;a.jpg\n", encoding="utf-8")
    found = read_columns(tmp_path / "a.csv")
    assert (found.names, found.image, found.text, found.id) == (["id", "titel", "bild"], "bild", "titel", "id")


@pytest.mark.parametrize(
    ("cells", "there", "lacks"),
    [(["a.jpg", "b.jpg"], [], True), (["a.jpg", "b.jpg"], ["b.jpg"], False), (["", ""], [], False)],
)
def test_pictures_are_looked_for_before_a_catalogue_is_scored(
    tmp_path: Path, cells: list[str], there: list[str], lacks: bool
) -> None:
    (tmp_path / "a.csv").write_text("image,text\n" + "".join(f"{cell},Shoe\n" for cell in cells), encoding="utf-8")
    for name in there:
        (tmp_path / name).write_bytes(b"picture")
    assert lacks_pictures(CatalogSource(path=str(tmp_path / "a.csv"))) is lacks
    assert not lacks_pictures(CatalogSource(path=str(tmp_path / "a.csv"), image_column=""))


@pytest.mark.parametrize(("modalities", "threshold"), [(["image", "text"], 0.6), (["image"], 0.9), (["text"], 0.6)])
def test_the_threshold_is_that_of_what_the_product_has(modalities: list[str], threshold: float) -> None:
    assert review_threshold(SETTINGS, modalities) == threshold
    assert review_threshold({}, modalities) is None


def test_a_version_that_is_gone_is_answered_by_the_default_one(
    page_server: PageServer, serving: FakeTorchServe, management: Management
) -> None:
    management.register("intermediate-2.0.mar")
    assert page_server.standing("intermediate 2.0") == (ModelChoice("intermediate", "2.0"), "")
    management.set_default("intermediate", "2.0")
    management.unregister("intermediate", "1.0")
    gone = "intermediate 1.0 is not served any more: intermediate 2.0 answers."
    assert page_server.standing("intermediate 1.0") == (ModelChoice("intermediate", "2.0"), gone)
    assert page_server.standing(None)[0] == page_server.standing("late 3.0")[0] == ModelChoice("intermediate", "2.0")
    assert page_server.labels(CHOICE) == ["Shirts", "Shoes", "Bags"] and page_server.attribute(CHOICE) == "label"
    assert page_server.labels(ModelChoice("late", "3.0")) == []


def test_examples_for_the_api_keep_every_letter(page_server: PageServer) -> None:
    title, image = """@it's "5" $(ls) <b>\\""", 'a "b;c.jpg'
    curl, python = (each.code for each in api_examples(page_server.config, CHOICE, image=image, text=title))
    words = shlex.split(curl.partition("\ncurl")[2], comments=False)
    assert f"text={title}" in words and words[-1] == "http://127.0.0.1:8080/predictions/intermediate/1.0"
    assert 'image=@"a \\"b;c.jpg"' in words
    [call] = [
        node
        for node in ast.walk(ast.parse(python))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "client.predict"
    ]
    given = [ast.literal_eval(each) for each in (*call.args, *(each.value for each in call.keywords))]
    assert given == [image, title, "intermediate", "1.0"]
    only_title = api_examples(page_server.config, CHOICE, image=None, text="Shoe", converted=True)
    assert "image" not in only_title[0].code and "save the picture" not in only_title[0].code
    assert "save the picture" in api_examples(page_server.config, CHOICE, image="a", text=None, converted=True)[0].code
