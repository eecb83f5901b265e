"""Several columns as targets: each product needs a value of the first, and may lack the others."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from training.catalog.reading import Catalog, CatalogError, CatalogSource, attribute_column, read_catalog

HEADER = ("image", "text", "label")


def write_shop(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    """A catalogue without pictures."""
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path: Path, **columns: Any) -> Catalog:
    return read_catalog(CatalogSource(path=str(path), **columns), max_rejected=1.0, progress=False)


def test_several_targets_keep_rows_without_a_further_value(tmp_path: Path) -> None:
    header = (*HEADER, "colour", "attribute x")
    rows = [
        ("", "one", "Shoes", " Red ", "1"),
        ("", "two", "Shoes", "NA", ""),
        ("", "three", "Bags", "", "n/a"),
        ("", "four", "", "Red", "1"),
    ]
    path = write_shop(tmp_path, rows, header)
    catalog = read(path, label_column="label, colour,attribute x")
    assert (catalog.source.label_column, list(catalog.source.attribute_columns)) == ("label", ["colour", "attribute x"])
    assert catalog.products[attribute_column("colour")].tolist() == ["Red", "", ""]
    assert catalog.products[attribute_column("attribute x")].tolist() == ["1", "", ""]
    assert catalog.rejected["reason"].tolist() == ["label_empty"]
    again = read_catalog(CatalogSource(**catalog.source.as_dict()), max_rejected=1)
    assert again.products.equals(catalog.products)
    assert catalog.source.target_columns == ["label", "colour", "attribute x"]
    assert read(path, label_column="label").source.as_dict()["attribute_columns"] == []


def test_a_column_with_a_comma_in_its_name_is_one_target(tmp_path: Path) -> None:
    path = write_shop(tmp_path, [("", "one", "Shoes", "42")], (*HEADER, "size,EU"))
    catalog = read(path, label_column="size,EU")
    assert catalog.products["label"].tolist() == ["42"] and not catalog.source.attribute_columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [("label,size", "no column 'size'"), ("label,label", "named once"), ("label,", "named once")],
)
def test_impossible_targets_are_refused(tmp_path: Path, columns: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        read(write_shop(tmp_path, [("", "one", "Shoes")]), label_column=columns)
