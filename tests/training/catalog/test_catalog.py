"""Reading a catalogue: every row is used or rejected with a reason, and nothing outside the folder is touched."""

import csv
import io
import os
import pickle
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from training.catalog.reading import Catalog, CatalogError, CatalogSource, read_catalog

DATA = Path(__file__).parents[4] / "shared" / "data"
HEADER = ("image", "text", "label")
STYLES = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"


def picture(colour: str = "navy", kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(file, kind)
    return file.getvalue()


def write_shop(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    """A catalogue with two pictures, ``a.jpg`` and ``sub/b.png``."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "a.jpg").write_bytes(picture())
    (folder / "sub" / "b.png").write_bytes(picture("red", "PNG"))
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_styles(folder: Path, lines: Sequence[str], ids: Sequence[str]) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "styles.csv").write_text("\n".join([STYLES, *lines]) + "\n", encoding="utf-8")
    for number in ids:
        (folder / "images" / f"{number}.jpg").write_bytes(picture())
    return folder


def zipped(folder: Path, path: Path, *, inside: str = "", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{inside}{file.relative_to(folder)}")
    return path


def read(path: Path, *, max_rejected: float = 1.0, **columns: Any) -> Catalog:
    return read_catalog(CatalogSource(path=str(path), **columns), max_rejected=max_rejected, progress=False)


def reasons(catalog: Catalog) -> Mapping[int, str]:
    return dict(zip(catalog.rejected["line"], catalog.rejected["reason"], strict=True))


def test_every_bad_row_is_rejected_with_its_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(picture())
    shop = tmp_path / "shop"
    path = write_shop(
        shop,
        [
            ("1", "a.jpg", "Navy Shirt", "Shirts"),
            ("2", "missing.jpg", "Navy Shirt", "Shirts"),
            ("3", "broken.jpg", "Navy Shirt", "Shirts"),
            ("4", "../outside.jpg", "Navy Shirt", "Shirts"),
            ("5", str(tmp_path / "outside.jpg"), "Navy Shirt", "Shirts"),
            ("6", "link.jpg", "Navy Shirt", "Shirts"),
            ("7", "a.jpg", "Navy Shirt", " "),
            ("8", "", "  ", "Shirts"),
            ("1", "a.jpg", "Navy Cap", "Caps"),
            ("", "a.jpg", "Navy Cap", "Caps"),
            ("11", "a.jpg", "Navy Cap"),
            ("12", "a.jpg", "Navy", "Cap", "Caps"),
            ("13", "sub", "Navy Cap", "Caps"),
            ("14", "page.jpg", "Navy Cap", "Caps"),
            ("15", "sub/b.png", "Red Cap", "Caps"),
            ("16", "loop.jpg", "Navy Cap", "Caps"),
            ("18", "a.jpg", "x" * 10_001, "Caps"),
            ("19", "empty.jpg", "Navy Cap", "Caps"),
            ("20", "strip.png", "Navy Cap", "Caps"),
            ("17", "x" * 300, "Navy Cap", "Caps"),
        ],
        header=("id", *HEADER),
    )
    (shop / "broken.jpg").write_bytes(picture()[:-300])
    (shop / "empty.jpg").touch()
    Image.new("RGB", (300, 2)).save(shop / "strip.png")
    (shop / "page.jpg").write_bytes(b"<html>not found</html>")
    (shop / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (shop / "loop.jpg").symlink_to("loop.jpg")

    catalog = read(path)

    assert catalog.products["id"].tolist() == ["1", "15"]
    assert catalog.read == 20 == len(catalog.products) + len(catalog.rejected)
    assert reasons(catalog) == {
        3: "image_missing",
        4: "image_corrupt",
        5: "image_outside",
        6: "image_outside",
        7: "image_outside",
        8: "label_empty",
        9: "product_empty",
        10: "id_duplicate",
        11: "id_empty",
        12: "row_malformed",
        13: "row_malformed",
        14: "image_missing",
        15: "unsupported_image",
        17: "image_missing",
        18: "text_too_long",
        19: "image_empty",
        20: "image_bad_shape",
        21: "image_missing",
    }
    duplicate = catalog.rejected.set_index("line").loc[10]
    assert duplicate["id"] == "1" and "line 2" in duplicate["detail"]
    assert "20 rows read = 2 used + 18 rejected (image_missing 4, image_outside 3," in catalog.summary()


def test_a_product_may_lack_its_picture_or_its_title_but_not_both(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("", "Navy Shirt", "Shirts"), ("a.jpg", "", "Caps"), ("a.jpg", "Navy Cap", "Caps")])
    products = read(path, max_rejected=0).products
    assert products[["image", "text"]].to_numpy().tolist() == [["", "Navy Shirt"], ["a.jpg", ""], ["a.jpg", "Navy Cap"]]


def test_words_that_pandas_reads_as_missing_values_are_kept_in_titles(tmp_path: Path) -> None:
    products = read(write_shop(tmp_path, [("a.jpg", "NA", "None"), ("a.jpg", "0012", "0012")])).products
    assert products[["text", "label"]].to_numpy().tolist() == [["NA", "None"], ["0012", "0012"]]


def test_paths_that_stay_inside_are_followed(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("sub/../a.jpg", "Navy Shirt", "Shirts"), ("inner.png", "Red Cap", "Caps")])
    (tmp_path / "inner.png").symlink_to(tmp_path / "sub" / "b.png")
    catalog = read(path, max_rejected=0)
    assert catalog.image_bytes("inner.png") == picture("red", "PNG")


@pytest.mark.timeout(20, method="thread")
def test_a_pipe_in_place_of_a_picture_is_no_picture_and_does_not_block(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("pipe.jpg", "Navy Shirt", "Shirts"), ("a.jpg", "Navy Cap", "Caps")])
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reasons(read(path)) == {2: "image_missing"}


def test_too_many_bad_rows_are_an_error_that_lists_the_reasons_and_how_to_allow_them(tmp_path: Path) -> None:
    rows = [("a.jpg", "Navy Shirt", "Shirts")] * 8 + [
        ("no.jpg", "Cap", "Caps"),
        ("gone.jpg", "Cap", "Caps"),
        ("", "", "Caps"),
    ]
    path = write_shop(tmp_path, rows)
    with pytest.raises(CatalogError) as caught:
        read(path, max_rejected=0.05)
    message = str(caught.value)
    assert "3 of 11 rows are rejected (27.3%), allowed are 5.0%" in message
    assert "image_missing: 2, first in line 10: 'no.jpg'" in message
    assert "product_empty: 1, first in line 12" in message
    assert message.index("image_missing") < message.index("product_empty")
    allowed = float(message.partition("--max-rejected ")[2].partition("\n")[0])
    assert len(read(path, max_rejected=allowed).products) == 8


def test_the_budget_allows_exactly_its_share(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("a.jpg", "Navy Shirt", "Shirts")] * 19 + [("no.jpg", "Cap", "Caps")])
    assert len(read(path, max_rejected=0.05).rejected) == 1


def test_a_catalogue_without_a_usable_row_is_an_error_whatever_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no row is left to use"):
        read(write_shop(tmp_path, [("no.jpg", "Cap", "Caps")]))


def test_a_row_with_a_web_address_is_used_by_its_title(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("https://example.org/a.jpg", "Cap", "Caps"), ("a.jpg", "Cap", "Caps")])
    catalog = read(path)
    assert catalog.products["image"].tolist() == ["", "a.jpg"]
    [note] = catalog.notes
    assert note.startswith("1 rows have only the web address") and "training fetch" in note


@pytest.mark.parametrize(
    ("columns", "named"),
    [({"label_column": "labels"}, "'labels'"), ({"text_column": "title"}, "'title'"), ({"id_column": "sku"}, "'sku'")],
)
def test_a_wrong_column_is_an_error_that_lists_those_there_are(
    tmp_path: Path, columns: dict[str, Any], named: str
) -> None:
    with pytest.raises(CatalogError, match=f"has no column {named}; its columns are 'image', 'text', 'label'"):
        read(write_shop(tmp_path, [("a.jpg", "Cap", "Caps")]), **columns)


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="column 'label' 2 times"):
        read(write_shop(tmp_path, [("a.jpg", "Cap", "Caps", "Hats")], header=(*HEADER, "label")))


def test_other_column_names_can_be_given(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("x7", "Caps", "a.jpg", "Navy Cap")], header=("sku", "kind", "photo", "name"))
    catalog = read(path, image_column="photo", text_column="name", label_column="kind", id_column="sku")
    assert catalog.products.iloc[0].tolist() == ["x7", "a.jpg", "Navy Cap", "Caps"]


def test_without_an_id_column_a_product_is_known_by_its_line(tmp_path: Path) -> None:
    path = write_shop(
        tmp_path, [("a.jpg", "two\nlines", "Caps"), ("no.jpg", "", "Caps"), ("a.jpg", "Navy Cap", "Caps")]
    )
    catalog = read(path)
    assert catalog.source.id_column is None
    assert catalog.products["id"].tolist() == ["2", "5"]
    assert catalog.rejected[["line", "id"]].to_numpy().tolist() == [[4, "4"]]


def test_an_id_column_is_found(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("007", "a.jpg", "Navy Cap", "Caps")], header=("id", *HEADER))
    assert read(path).products["id"].tolist() == ["007"]


def test_kaggle_folder_csv_and_zips_read_alike(tmp_path: Path) -> None:
    lines = [
        "10,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Men Shirt, Navy, Slim",
        '11,Women,Footwear,Shoes,Heels,Pink,Summer,2012,Casual,Catwalk 3.5" Pink Heels',
        '12,Men,Apparel,Topwear,Tshirts,Red,Summer,2012,Casual,"Puma Men, Red T-shirt"',
        "",
        "13,Men,Apparel,Topwear,Tshirts,Red,Summer,2012,Casual,Gone Tshirt",
        "14,Men,Apparel",
    ]
    folder = write_styles(tmp_path / "kaggle", lines, ["10", "11", "12"])
    sources = [
        folder,
        folder / "styles.csv",
        zipped(folder, tmp_path / "plain.zip"),
        zipped(folder, tmp_path / "nested.zip", inside="data/shop/", method=zipfile.ZIP_DEFLATED),
    ]
    catalogs = [read(source) for source in sources]
    assert catalogs[0].products.to_numpy().tolist() == [
        ["10", "images/10.jpg", "Turtle Men Shirt, Navy, Slim", "Shirts"],
        ["11", "images/11.jpg", 'Catwalk 3.5" Pink Heels', "Heels"],
        ["12", "images/12.jpg", "Puma Men, Red T-shirt", "Tshirts"],
    ]
    assert reasons(catalogs[0]) == {6: "image_missing", 7: "row_malformed"}
    for other in catalogs[1:]:
        assert other.products.equals(catalogs[0].products)
        assert reasons(other) == reasons(catalogs[0])
        assert other.image_bytes("images/10.jpg") == picture()


def test_kaggle_columns_can_be_chosen(tmp_path: Path) -> None:
    line = "10,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Shirt"
    catalog = read(write_styles(tmp_path / "kaggle", [line], ["10"]), label_column="baseColour")
    assert catalog.products["label"].tolist() == ["Navy Blue"]


def test_the_source_that_was_found_reads_the_same_catalogue_again(tmp_path: Path) -> None:
    line = "10,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Shirt"
    catalog = read(write_styles(tmp_path / "kaggle", [line], ["10"]))
    assert (catalog.source.text_column, catalog.source.label_column) == ("productDisplayName", "articleType")
    again = read_catalog(catalog.source, progress=False)
    assert again.source == catalog.source and again.products.equals(catalog.products)


def test_without_checks_no_picture_is_opened_but_paths_are_looked_at(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("no.jpg", "Cap", "Caps"), ("../a.jpg", "Cap", "Caps")])
    catalog = read_catalog(CatalogSource(path=str(path)), check_images=False, max_rejected=1, progress=False)
    assert catalog.products["image"].tolist() == ["no.jpg"]
    assert reasons(catalog) == {3: "image_outside"}


def test_a_picture_that_disappears_later_is_named(tmp_path: Path) -> None:
    catalog = read(write_shop(tmp_path, [("a.jpg", "Cap", "Caps")]))
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(CatalogError, match=r"'a\.jpg' is not there"):
        catalog.image_bytes("a.jpg")


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_pickled_catalogue_still_reads(tmp_path: Path, as_zip: bool) -> None:
    path = write_shop(tmp_path / "shop", [("a.jpg", "Cap", "Caps")])
    catalog = read(zipped(path.parent, tmp_path / "shop.zip") if as_zip else path)
    assert pickle.loads(pickle.dumps(catalog)).image_bytes("a.jpg") == picture()


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_budget_out_of_range_is_an_error(tmp_path: Path, share: float) -> None:
    with pytest.raises(CatalogError, match="max_rejected"):
        read(tmp_path, max_rejected=share)


cells = st.sampled_from(["", " ", "a.jpg", "sub/b.png", "no.jpg", "../a.jpg", 'say "hi", all', "two\nlines", "Ünïcode"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=12))
def test_every_row_is_used_or_rejected(rows: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_shop(Path(folder), [*rows, ("a.jpg", "Navy Cap", "Caps")])
        catalog = read(path)
    # A row of empty cells alone is no row.
    assert (
        catalog.read
        == sum(any(map(str.strip, row)) for row in rows) + 1
        == len(catalog.products) + len(catalog.rejected)
    )
    assert catalog.products["label"].str.len().min() > 0
    assert (catalog.products["image"] + catalog.products["text"]).str.len().min() > 0
    assert catalog.products["id"].is_unique


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(("name", "rows", "missing", "classes"), [("224", 8659, 0, 75), ("small", 40072, 5, 142)])
def test_real_catalogues_are_read_straight_from_their_zips(name: str, rows: int, missing: int, classes: int) -> None:
    catalog = read(DATA / f"fashion-product-images-{name}.zip", max_rejected=0.05)
    assert catalog.read == rows
    assert catalog.rejected["reason"].tolist() == ["image_missing"] * missing
    assert catalog.products["label"].nunique() == classes
    assert catalog.products["text"].str.len().min() > 0
