"""Exports of shop systems, written by their public documentation: the columns, and the levels of the category."""

import csv
import io
from pathlib import Path

import pytest
from shop_files import picture, read, write

from training.catalog.presets import PRESETS, category_levels, recognised
from training.catalog.reading import CatalogError, attribute_column

SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
    "Variant Grams,Variant Inventory Qty,Variant Price,Image Src,Image Position,Image Alt Text,Gift Card,Status"
)
SHOPIFY_NEW = (
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Price,"
    "Product image URL,Image position"
)
WOOCOMMERCE = (
    'ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"Is featured?","Visibility in catalog","Short description",'
    'Description,"In stock?",Stock,"Sale price","Regular price",Categories,Tags,"Shipping class",Images,Parent,Position'
)
MAGENTO = (
    "sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,description,price,"
    "base_image,base_image_label,small_image,additional_images,qty"
)
GOOGLE = "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tgoogle_product_category\tproduct_type\tbrand"
KAGGLE = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
# The cells of three products by column; the other columns stay empty.
PRODUCTS = {
    "shopify": (
        SHOPIFY,
        [
            {"Handle": "cap", "Title": "Navy Cap", "Product Category": "Apparel > Hats > Caps", "Image Src": "a.jpg"},
            {
                "Handle": "hat",
                "Title": "Hat, large",
                "Product Category": "Apparel > Hats",
                "Body (HTML)": "<p>a,\nb</p>",
            },
            {"Handle": "mug", "Title": "Mug", "Product Category": "Home > Mugs", "Image Src": "a.jpg"},
        ],
        ("cap", "hat", "mug"),
    ),
    "shopify, new": (
        SHOPIFY_NEW,
        [
            {"URL handle": "cap", "Title": "Navy Cap", "Product category": "Apparel > Hats > Caps"},
            {"URL handle": "hat", "Title": "Hat, large", "Product category": "Apparel > Hats"},
            {"URL handle": "mug", "Title": "Mug", "Type": "Home > Mugs", "Product image URL": "a.jpg"},
        ],
        ("cap", "hat", "mug"),
    ),
    "woocommerce": (
        WOOCOMMERCE,
        [
            {"ID": "7", "Name": "Navy Cap", "Categories": "Apparel, Apparel > Hats > Caps", "Images": "a.jpg"},
            {"ID": "8", "Name": "Hat, large", "Categories": "Apparel > Hats"},
            {"ID": "9", "Name": "Mug", "Categories": "Home > Mugs, Sale"},
        ],
        ("7", "8", "9"),
    ),
    "magento": (
        MAGENTO,
        [
            {
                "sku": "A-1",
                "name": "Navy Cap",
                "categories": "Default Category/Apparel,Default Category/Apparel/Hats/Caps",
                "base_image": "a.jpg",
            },
            {
                "sku": "A-2",
                "name": "Hat, large",
                "categories": "Default Category/Apparel|Default Category/Apparel/Hats",
            },
            {"sku": "A-3", "name": "Mug", "categories": "Default Category/Home/Mugs"},
        ],
        ("A-1", "A-2", "A-3"),
    ),
    "google-merchant": (
        GOOGLE,
        [
            {"id": "1", "title": "Navy Cap", "product_type": "Apparel > Hats > Caps", "image_link": "a.jpg"},
            {"id": "2", "title": "Hat, large", "google_product_category": "Apparel > Hats"},
            {"id": "3", "title": "Mug", "product_type": "Home > Mugs"},
        ],
        ("1", "2", "3"),
    ),
}


def export(name: str) -> str:
    header, rows, _ = PRODUCTS[name]
    separator = "\t" if "\t" in header else ","
    text = io.StringIO(newline="")
    [columns] = csv.reader([header], delimiter=separator)
    writer = csv.DictWriter(text, columns, delimiter=separator, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("name", PRODUCTS)
def test_an_export_gives_products_and_levels(tmp_path: Path, name: str) -> None:
    path, preset = write(tmp_path, "export.csv", export(name)), name.partition(",")[0]
    catalog = read(path, format=preset, max_rejected=0)
    assert tuple(catalog.products["id"]) == PRODUCTS[name][2]
    assert catalog.products["text"].tolist() == ["Navy Cap", "Hat, large", "Mug"]
    assert "a.jpg" in catalog.products["image"].tolist()
    assert (catalog.source.label_column, list(catalog.source.attribute_columns)) == ("level1", ["level2"])
    assert catalog.products["label"].tolist() == ["Apparel", "Apparel", "Home"]
    assert catalog.products[attribute_column("level2")].tolist() == ["Hats", "Hats", "Mugs"]
    assert "the labels are the levels of the category: level1 (2 values), level2 (2 values)" in catalog.notes[0]
    assert read(path, format=preset, label_column="level3,level1").products["label"].tolist() == ["Caps"]


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_known_export_is_recognised_and_suggested(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match=f"it looks like an export that --format {name.partition(',')[0]} reads"):
        read(write(tmp_path, "export.csv", export(name)))


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_table_that_is_no_such_export_says_so(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "shop.csv", "picture,words,kind\na.jpg,Cap,Caps\n")
    with pytest.raises(CatalogError, match=r"shop\.csv is no export of the format .*: it has no column"):
        read(path, format=name.partition(",")[0])


def test_named_columns_go_before_those_of_the_export(tmp_path: Path) -> None:
    path = write(tmp_path, "export.csv", export("shopify"))
    catalog = read(path, format="shopify", text_column="Handle", image_column="", id_column="", label_column="Title")
    assert catalog.products["text"].tolist() == ["cap", "hat", "mug"]
    assert catalog.products["label"].tolist() == ["Navy Cap", "Hat, large", "Mug"]
    assert (catalog.source.id_column, catalog.source.image_column) == ("", "")


def test_kaggle_has_levels_too_and_its_usual_label(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in ("7", "8"):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(picture())
    lines = ["7,Men,Apparel,Topwear,Shirts,Navy,Fall,2011,Casual,Shirt, navy", "8,Men,Footwear,Shoes,Heels,,,,,Heels"]
    path = write(tmp_path, "styles.csv", "\n".join([KAGGLE, *lines]))
    assert read(path, format="kaggle-fashion").products["label"].tolist() == ["Shirts", "Heels"]
    catalog = read(path, format="kaggle-fashion", label_column="level3,level1", max_rejected=0)
    assert catalog.products["label"].tolist() == ["Shirts", "Heels"]
    assert catalog.products[attribute_column("level1")].tolist() == ["Apparel", "Footwear"]


@pytest.mark.parametrize(
    ("preset", "cell", "levels"),
    [
        ("shopify", "A > B > C", ["A", "B", "C"]),
        ("shopify", " A>B ", ["A", "B"]),
        ("shopify", "Food, Beverages & Tobacco > Tea", ["Food, Beverages & Tobacco", "Tea"]),
        ("shopify", "", []),
        ("shopify", " > ", []),
        ("woocommerce", "A, A > B, C", ["A", "B"]),
        ("woocommerce", r"Cups\, mugs > Tea, Sale", ["Cups, mugs", "Tea"]),
        ("magento", "Default Category/A,Default Category/A/B", ["A", "B"]),
        ("magento", "A|A/B", ["A", "B"]),
        ("magento", "Default Category", []),
        ("google-merchant", "A &gt; B", ["A &gt; B"]),
        ("google-merchant", "1 > 2 > 3 > 4 > 5 > 6 > 7 > 8", ["1", "2", "3", "4", "5", "6"]),
    ],
)
def test_the_levels_of_a_category(preset: str, cell: str, levels: list[str]) -> None:
    assert category_levels(cell, PRESETS[preset]) == levels


@pytest.mark.parametrize("header", [["image", "text", "label"], ["id", "title"], [], ["Handle"], ["sku", "name"]])
def test_a_tidy_header_is_no_export(header: list[str]) -> None:
    assert recognised(header) is None


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="--format 'etsy' is not known; known are shopify, woocommerce"):
        read(write(tmp_path, "shop.csv", "image,text,label\na.jpg,Cap,Caps\n"), format="etsy")
