"""A folder of pictures for each class is a catalogue without titles."""

import zipfile
from pathlib import Path

import pytest
from shop_files import picture, read

from training.catalog import CatalogSource, open_files, open_rows
from training.catalog.reading import Catalog, CatalogError


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture())
    return root


def found(catalog: Catalog) -> dict[str, str]:
    return dict(zip(catalog.products["image"], catalog.products["label"], strict=True))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("wrapped", ["", "data/", "shop/images/"])
def test_the_folders_are_the_labels(tmp_path: Path, zipped: bool, wrapped: str) -> None:
    names = [f"{wrapped}{name}" for name in ("apple/1.jpg", "apple/2.JPG", "pear, green/1.png", "Äpfel/x.jpeg")]
    root = folders(tmp_path / "fruit", *names)
    if zipped:
        with zipfile.ZipFile(tmp_path / "fruit.zip", "w") as archive:
            for name in names:
                archive.write(root / name, name)
        root = tmp_path / "fruit.zip"
    catalog = read(root, max_rejected=0)
    assert found(catalog) == {name: name.split("/")[-2] for name in names}
    assert catalog.source.text_column == "" and catalog.image_bytes(names[0]) == picture()
    assert catalog.notes == ["3 folders of pictures are classes: 4 pictures without titles"]
    assert read(root, **{"text_column": catalog.source.text_column}).products.equals(catalog.products)


def test_the_folders_of_a_split_are_joined_and_said(tmp_path: Path) -> None:
    names = ("train/apple/1.jpg", "train/pear/1.jpg", "Test/apple/1.jpg", "val/pear/1.jpg")
    catalog = read(folders(tmp_path, *names))
    assert found(catalog) == {name: name.split("/")[1] for name in names}
    assert "the folders Test, train, val are joined, since a run draws its own test part" in catalog.notes[0]


def test_folders_in_folders_are_levels(tmp_path: Path) -> None:
    names = ("fruit/apple/red/1.jpg", "fruit/pear/1.jpg", "milk/1.jpg", "milk/oat/1.jpg")
    catalog = read(folders(tmp_path, *names), label_column="level1,level2,label")
    assert catalog.products["label"].tolist() == ["fruit", "fruit", "milk", "milk"]
    assert catalog.products["attribute level2"].tolist() == ["apple", "pear", "", "oat"]
    assert catalog.products["attribute label"].tolist() == ["red", "pear", "milk", "oat"]


def test_one_name_under_two_folders_is_two_labels(tmp_path: Path) -> None:
    catalog = read(folders(tmp_path, "men/shoes/1.jpg", "women/shoes/1.jpg", "women/caps/1.jpg"))
    assert sorted(found(catalog).values()) == ["men/shoes", "women/caps", "women/shoes"]


def test_other_files_are_counted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    root = folders(tmp_path, "apple/1.jpg", "pear/1.jpg", "apple/.DS_Store", "apple/Thumbs.db", "README.md", "top.jpg")
    assert read(root).notes[0].endswith("; 3 other files are left out")


def test_a_picture_of_another_kind_is_rejected_with_its_reason(tmp_path: Path) -> None:
    root = folders(tmp_path, "apple/1.jpg", "pear/1.jpg")
    (root / "pear" / "2.gif").write_bytes(picture(kind="GIF"))
    assert read(root).rejected["reason"].tolist() == ["unsupported_image"]


def test_scoring_reads_them(tmp_path: Path) -> None:
    files = open_files(folders(tmp_path, "apple/1.jpg", "pear/1.jpg"))
    with open_rows(CatalogSource(path=""), files, labelled=False) as (_, rows):
        assert [row.image for row in rows] == ["apple/1.jpg", "pear/1.jpg"]
    assert files.fingerprint() == open_files(tmp_path).fingerprint()


@pytest.mark.parametrize("names", [("1.jpg", "2.jpg"), ("apple/1.jpg", "apple/2.jpg"), ("apple/notes.md", "pear/x.md")])
def test_no_two_folders_of_pictures_are_no_catalogue(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(CatalogError, match="holds no CSV"):
        read(folders(tmp_path, *names))


def test_a_table_beside_the_folders_goes_first(tmp_path: Path) -> None:
    folders(tmp_path, "apple/1.jpg", "pear/1.jpg")
    (tmp_path / "products.csv").write_text("image,text,label\napple/1.jpg,Red,x\n")
    assert read(tmp_path).products["label"].tolist() == ["x"]
