"""A column that is not there is never left out in silence, ids that repeat are named, and scoring answers each row."""

from pathlib import Path
from typing import Any

import pytest
from shop_files import cells, read, write

from training.catalog import CatalogSource, open_files, open_rows
from training.catalog.reading import CatalogError

ROW = "a.jpg,Cap,Caps"


def scored(path: Path, **columns: Any) -> tuple[list[Any], list[str]]:
    """The rows as scoring reads them, and the notes."""
    notes: list[str] = []
    source = CatalogSource(path=str(path), **columns)
    with open_rows(source, open_files(path), labelled=False, say=notes.append) as (_, rows):
        return list(rows), notes


@pytest.mark.parametrize("header", ["Image,text,label", "IMAGE,Text,LABEL", " image ,text,Label", "Image,TEXT,label"])
@pytest.mark.parametrize("labelled", [True, False])
def test_another_case_is_the_same_column_and_is_said(tmp_path: Path, header: str, labelled: bool) -> None:
    path = write(tmp_path, "shop.csv", f"{header}\n{ROW}\n")
    if labelled:
        catalog = read(path)
        assert cells(catalog) == [["a.jpg", "Cap", "Caps"]]
        notes, wanted = catalog.notes, [each.strip() for each in header.split(",")]
        assert read(path, image_column=catalog.source.image_column).products.equals(catalog.products)
    else:
        rows, notes = scored(path)
        assert [(row.image, row.text) for row in rows] == [("a.jpg", "Cap")]
        wanted = [each.strip() for each in header.split(",")[:2]]
    changed = [each for each in wanted if each != each.lower()]
    assert [note for note in notes if "is taken for it" in note] == [
        f"shop.csv has no column {each.lower()!r}: {each!r} is taken for it" for each in changed
    ]


def test_the_column_with_the_very_name_goes_first_and_two_others_are_a_doubt(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.csv", f"Image,image,text,label\nb.jpg,{ROW}\n")
    assert cells(read(path)) == [["a.jpg", "Cap", "Caps"]]
    path = write(tmp_path, "shop.csv", f"Image,IMAGE,text,label\nb.jpg,{ROW}\n")
    with pytest.raises(CatalogError, match=r"no column 'image'.*is it --image-column Image or --image-column IMAGE\?"):
        read(path)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("photo,text,label", r"no column 'image'; .*is it --image-column photo\?.*--image-column \"\" goes on without"),
        ("imgae,text,label", r"is it --image-column imgae\?"),
        ("image_path,text,label", r"is it --image-column image_path\?"),
        ("picture url,text,label", r'is it --image-column "picture url"\?'),
        (
            "image,title,label",
            r"no column 'text'; .*is it --text-column title\?; --text-column \"\" goes on without titles",
        ),
        ("image,product name,label", r'is it --text-column "product name"\?'),
        ("x,text,label", r"no column 'image'; its columns are 'x', 'text', 'label'; --image-column \"\" goes on"),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_near(
    tmp_path: Path, header: str, message: str, labelled: bool
) -> None:
    path = write(tmp_path, "shop.csv", f"{header}\n{ROW}\n")
    with pytest.raises(CatalogError, match=message):
        read(path) if labelled else scored(path)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_modality_is_left_out_when_that_is_asked_for(tmp_path: Path, labelled: bool) -> None:
    path = write(tmp_path, "shop.csv", "text,label\nCap,Caps\n")
    rows = read(path, image_column="").products.to_dict("records") if labelled else scored(path, image_column="")[0]
    assert len(rows) == 1
    path = write(tmp_path, "shop.csv", "image,label\na.jpg,Caps\n")
    assert len(read(path, text_column="").products if labelled else scored(path, text_column="")[0]) == 1
    with pytest.raises(CatalogError, match="a product needs a picture or a title"):
        read(path, text_column="", image_column="") if labelled else scored(path, text_column="", image_column="")


def test_a_missing_label_is_named_with_those_that_are_near(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no column 'label'; .*is it 'Product Category'\?"):
        read(write(tmp_path, "shop.csv", f"image,text,Product Category\n{ROW}\n"))


def test_ids_that_repeat_are_rejected_in_training_with_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.csv", f"id,image,text,label\n7,{ROW}\n7,{ROW}\n,{ROW}\n")
    rejected = read(path).rejected
    assert rejected["reason"].tolist() == ["id_duplicate", "id_empty"]
    assert rejected["detail"].str.contains('--id-column "" takes the line for an id', regex=False).all()
    catalog = read(path, id_column="", max_rejected=0)
    assert catalog.products["id"].tolist() == ["2", "3", "4"] and catalog.source.id_column == ""
    assert read(path, **{"id_column": catalog.source.id_column}).products.equals(catalog.products)


def test_scoring_reads_every_row_whatever_its_id(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.csv", f"id,image,text,label\n7,{ROW}\n7,{ROW}\n,{ROW}\n,{ROW}\n8,{ROW}\n8,{ROW}\n")
    rows, notes = scored(path)
    assert [(row.line, row.id, row.fault) for row in rows] == [
        (line, id, None) for line, id in enumerate(["7", "7", "", "", "8", "8"], start=2)
    ]
    [note] = notes
    assert "2 rows have an id of the column 'id' that an earlier row has, such as '7' in the lines 2 and 3" in note
    assert [row.id for row in scored(path, id_column="")[0]] == list("234567")


def test_an_older_record_names_its_catalogue_as_before(tmp_path: Path) -> None:
    catalog = read(write(tmp_path, "shop.csv", f"image,text,label\n{ROW}\n"))
    assert set(catalog.source.as_dict()) == {
        *("path", "image_column", "text_column", "label_column", "id_column", "attribute_columns")
    }
    assert CatalogSource(path="x", encoding="cp1254").as_dict()["encoding"] == "cp1254"
