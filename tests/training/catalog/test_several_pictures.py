"""Several pictures of a product: in one cell, or in further rows; and variants that take their parent's title."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_catalog import picture, read, reasons

from training.catalog.files import open_files
from training.catalog.pictures.cells import read_cell
from training.catalog.reading import Catalog
from training.catalog.rows import CatalogRow, CatalogSource, open_rows

FILES = ("a.jpg", "b.jpg", "c.jpg", "images/d.jpg", "e f.jpg")


def shop(folder: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture())
    with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "products.csv"


def rows_of(path: Path, *, labelled: bool = True, **columns: str) -> tuple[list[CatalogRow], list[str]]:
    notes: list[str] = []
    source = CatalogSource(path=str(path), **columns)
    with open_rows(source, open_files(path), labelled=labelled, say=notes.append) as (_, rows):
        return list(rows), notes


CELLS = {
    "a.jpg;b.jpg": ["a.jpg", "b.jpg"],
    "a.jpg; b.jpg;": ["a.jpg", "b.jpg"],
    "a.jpg|b.jpg": ["a.jpg", "b.jpg"],
    "a.jpg | b.jpg | c.jpg": ["a.jpg", "b.jpg", "c.jpg"],
    "a.jpg,b.jpg": ["a.jpg", "b.jpg"],
    "a.jpg, images/d.jpg": ["a.jpg", "images/d.jpg"],
    "a.jpg\nb.jpg": ["a.jpg", "b.jpg"],
    "a.jpg\r\nb.jpg\r\n": ["a.jpg", "b.jpg"],
    "a|b": ["a.jpg", "b.jpg"],
    "A.JPG;B.JPG": ["a.jpg", "b.jpg"],
    '["a.jpg", "b.jpg"]': ["a.jpg", "b.jpg"],
    "['a.jpg', 'b.jpg']": ["a.jpg", "b.jpg"],
    '[{"src": "a.jpg", "position": 1}, {"src": "b.jpg"}]': ["a.jpg", "b.jpg"],
    '{"url": "a.jpg"}': ["a.jpg"],
    "{a.jpg,b.jpg}": ["a.jpg", "b.jpg"],
    '"a.jpg";"b.jpg"': ["a.jpg", "b.jpg"],
    "e f.jpg;a.jpg": ["e f.jpg", "a.jpg"],
    "a.jpg;a.jpg": ["a.jpg"],
    r"images\d.jpg;\a.jpg": ["images/d.jpg", "a.jpg"],
}


@pytest.mark.parametrize(("cell", "pictures"), CELLS.items(), ids=list(CELLS))
def test_several_names_in_a_cell_are_split(tmp_path: Path, cell: str, pictures: list[str]) -> None:
    path = shop(tmp_path, ("image", "text", "label"), [(cell, "Cap", "Caps")])
    [row], _ = rows_of(path)
    assert list(row.pictures) == pictures
    assert row.image == pictures[0] and row.fault is None
    assert read(path).products["image"].tolist() == pictures[:1]


def test_the_first_picture_that_is_there_is_used_and_said_once_with_a_count(tmp_path: Path) -> None:
    rows = [("gone.jpg;b.jpg", "Cap", "Caps"), ("a.jpg|b.jpg", "Cap", "Caps"), ("a.jpg", "Cap", "Caps")]
    catalog = read(shop(tmp_path, ("image", "text", "label"), rows))
    assert catalog.products["image"].tolist() == ["b.jpg", "a.jpg", "a.jpg"]
    [note] = catalog.notes
    assert note == ("2 products have several pictures, such as 'gone.jpg;b.jpg'; the first that is there is used")


def test_a_product_none_of_whose_pictures_is_there_is_rejected(tmp_path: Path) -> None:
    catalog = read(shop(tmp_path, ("image", "text", "label"), [("x.jpg;y.jpg", "", "Caps"), ("a.jpg", "", "Caps")]))
    assert reasons(catalog) == {2: "image_missing"}


@pytest.mark.parametrize("cell", ["no_selection", "NaN", "[]", "N/A", "null", '[""]', "-"])
def test_a_word_for_no_picture_is_none_and_counted(tmp_path: Path, cell: str) -> None:
    catalog = read(shop(tmp_path, ("image", "text", "label"), [(cell, "Cap", "Caps")]))
    assert catalog.products["image"].tolist() == [""]
    assert catalog.notes == [f"1 cells say that there is no picture, such as {cell!r}"]


ADDRESSES = {
    "https://cdn.shop.com/a.jpg": 1,
    "https://a.com/1.jpg, https://a.com/2.jpg": 2,
    "https://a.com/1.jpg;https://a.com/2.jpg|https://a.com/3.jpg": 3,
    "https://a.com/1.jpg https://a.com/2.jpg": 2,
    "https://a.com/upload/c_fill,h_200,w_100/1.jpg": 1,
    "https://a.com/1?w=1;h=2|3": 1,
    '["http://a.com/1.jpg", "http://a.com/2.jpg"]': 2,
    "//cdn.shop.com/a.jpg": 1,
    "www.shop.com/a.jpg": 1,
    "s3://bucket/a.jpg": 1,
}


@pytest.mark.parametrize(("cell", "count"), ADDRESSES.items(), ids=list(ADDRESSES))
def test_addresses_are_told_from_files(cell: str, count: int) -> None:
    read_ = read_cell(cell, is_file=lambda name: False)
    assert len(read_.addresses) == count and not read_.names


def test_rows_with_addresses_are_used_by_their_titles_and_counted(tmp_path: Path) -> None:
    rows = [
        ("https://a.com/1.jpg", "Cap", "Caps"),
        ("https://a.com/2.jpg, https://a.com/3.jpg", "Cap", "Caps"),
        ("https://a.com/4.jpg", "", "Caps"),
        ("a.jpg;https://a.com/5.jpg", "Cap", "Caps"),
    ]
    catalog = read(shop(tmp_path, ("image", "text", "label"), rows))
    assert catalog.products["image"].tolist() == ["", "", "a.jpg"]
    assert reasons(catalog) == {4: "image_outside"}
    assert "training fetch" in catalog.rejected["detail"][0]
    [note] = [note for note in catalog.notes if "web address" in note]
    assert note.startswith("2 rows") and f"python -m training fetch {tmp_path}/products.csv --out FOLDER" in note


SHOPIFY = ("Handle", "Title", "Type", "Option1 Value", "Variant SKU", "Image Src", "Image Position")


def shopify(folder: Path) -> Path:
    rows = [
        ("cap", "Navy Cap", "Caps", "S", "c-s", "a.jpg", "1"),
        ("cap", "", "", "M", "c-m", "", ""),
        ("cap", "", "", "", "", "b.jpg", "2"),
        ("hat", "Red Hat", "Hats", "", "h", "c.jpg", "2"),
        ("hat", "", "", "", "", "images/d.jpg", "1"),
        ("sock", "Sock", "Socks", "", "s", "a.jpg", "1"),
    ]
    return shop(folder, SHOPIFY, rows)


SHOPIFY_COLUMNS = {"image_column": "Image Src", "text_column": "Title"}


@pytest.mark.parametrize("labelled", [True, False])
def test_further_rows_of_shopify_belong_to_their_product(tmp_path: Path, labelled: bool) -> None:
    label = {"label_column": "Type"} if labelled else {}
    rows, notes = rows_of(shopify(tmp_path), labelled=labelled, id_column="Handle", **SHOPIFY_COLUMNS, **label)
    assert [(row.id, row.text, list(row.pictures), row.fault) for row in rows] == [
        ("cap", "Navy Cap", ["a.jpg", "b.jpg"], None),
        ("hat", "Red Hat", ["images/d.jpg", "c.jpg"], None),
        ("sock", "Sock", ["a.jpg"], None),
    ]
    assert any(note.startswith("3 further rows") for note in notes)


def test_variants_of_shopify_with_ids_of_their_own_take_the_title(tmp_path: Path) -> None:
    rows, notes = rows_of(shopify(tmp_path), id_column="Variant SKU", label_column="Type", **SHOPIFY_COLUMNS)
    assert [(row.id, row.text, row.label, row.image) for row in rows] == [
        ("c-s", "Navy Cap", "Caps", "a.jpg"),
        ("c-m", "Navy Cap", "Caps", "b.jpg"),
        ("h", "Red Hat", "Hats", "images/d.jpg"),
        ("s", "Sock", "Socks", "a.jpg"),
    ]
    assert any(note.startswith("1 rows without a title take that of their parent") for note in notes)


@pytest.mark.parametrize("parent", ["shirt", "id:1"])
def test_variations_of_woocommerce_take_their_parents_title_and_label(tmp_path: Path, parent: str) -> None:
    header = ("ID", "Type", "SKU", "Name", "Categories", "Images", "Parent")
    rows = [
        ("1", "variable", "shirt", "Oxford Shirt", "Shirts", "a.jpg, b.jpg", ""),
        ("2", "simple", "cap", "Navy Cap", "Caps", "c.jpg", ""),
        ("3", "variation", "shirt-s", "", "", "images/d.jpg", parent),
        ("4", "variation", "shirt-m", "Oxford Shirt - M", "Shirts", "", parent),
        ("5", "variation", "lost", "", "", "", "gone"),
    ]
    path = shop(tmp_path, header, rows)
    columns = {"image_column": "Images", "text_column": "Name", "label_column": "Categories", "id_column": "ID"}
    read_rows, _ = rows_of(path, **columns)
    assert [(row.text, row.label, row.image) for row in read_rows[:4]] == [
        ("Oxford Shirt", "Shirts", "a.jpg"),
        ("Navy Cap", "Caps", "c.jpg"),
        ("Oxford Shirt", "Shirts", "images/d.jpg"),
        ("Oxford Shirt - M", "Shirts", ""),
    ]
    assert read_rows[4].fault is not None


def test_variants_of_a_merchant_feed_take_the_title_of_their_group(tmp_path: Path) -> None:
    header = ("id", "item_group_id", "text", "label", "image")
    rows = [("1", "g", "Cap", "Caps", "a.jpg"), ("2", "g", "", "", "b.jpg"), ("3", "", "Hat", "Hats", "c.jpg")]
    read_rows, _ = rows_of(shop(tmp_path, header, rows))
    assert [(row.id, row.text, row.label) for row in read_rows] == [
        ("1", "Cap", "Caps"),
        ("2", "Cap", "Caps"),
        ("3", "Hat", "Hats"),
    ]


NOT_FURTHER = {
    "a title of its own": ("1", "b.jpg", "Hat", ""),
    "another label": ("1", "b.jpg", "", "Hats"),
    "the same row again": ("1", "a.jpg", "Cap", "Caps"),
    "the same picture without a title": ("1", "a.jpg", "", "Caps"),
}


@pytest.mark.parametrize("row", NOT_FURTHER.values(), ids=NOT_FURTHER)
def test_other_rows_with_the_same_id_stay_repeated_ids(tmp_path: Path, row: Sequence[str]) -> None:
    rows, notes = rows_of(shop(tmp_path, ("id", "image", "text", "label"), [("1", "a.jpg", "Cap", "Caps"), row]))
    assert len(rows) == 2 and rows[1].fault is not None and not notes


def test_a_column_of_positions_tells_further_rows_with_the_same_title(tmp_path: Path) -> None:
    header = ("id", "image", "image_position", "text", "label")
    rows = [("1", "b.jpg", "2", "Cap", "Caps"), ("1", "a.jpg", "1", "Cap", "Caps"), ("2", "c.jpg", "1", "Hat", "Hats")]
    read_rows, _ = rows_of(shop(tmp_path, header, rows))
    assert [list(row.pictures) for row in read_rows] == [["a.jpg", "b.jpg"], ["c.jpg"]]


def test_without_ids_no_rows_are_brought_together(tmp_path: Path) -> None:
    rows, _ = rows_of(shop(tmp_path, ("image", "text", "label"), [("a.jpg", "Cap", "Caps"), ("b.jpg", "", "Caps")]))
    assert [row.image for row in rows] == ["a.jpg", "b.jpg"]


cells = st.text(st.sampled_from("ab.jpg|;,[]{}\"' \n\\/:htps"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(cells)
def test_any_cell_is_read(cell: str) -> None:
    read_ = read_cell(cell.strip(), is_file=lambda name: name == "a.jpg")
    assert all(name.strip() for name in (*read_.names, *read_.addresses))


def test_hostile_lists_are_read_quickly() -> None:
    for cell in ("[" * 90_000 + "]" * 10_000, "[" + "9" * 50_000 + "]"):
        assert list(read_cell(cell, is_file=lambda name: False).names) == [cell], "no list: the name of a file"
    assert list(read_cell(json.dumps(["a.jpg"] * 9_000), is_file=lambda name: False).names) == ["a.jpg"]


def summary(catalog: Catalog) -> tuple[int, int]:
    return catalog.read, len(catalog.products) + len(catalog.rejected)


def test_read_is_used_and_rejected_with_further_rows_left_out(tmp_path: Path) -> None:
    catalog = read(shopify(tmp_path), id_column="Handle", label_column="Type", **SHOPIFY_COLUMNS)
    assert summary(catalog) == (3, 3)
