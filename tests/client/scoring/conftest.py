"""A catalogue with faults of every kind, drawn without pictures that any model could read."""

import csv
from pathlib import Path

import pytest


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A CSV of 47 rows; some are at fault as they stand, some name a picture that is not there."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a picture")
    rows = [[str(number), "a.jpg" if number % 3 else "", f"Product {number}"] for number in range(40)]
    rows += [["3", "", "Twice"], ["", "", "No id"], ["41", "", ""], ["42", "../a.jpg", ""], ["43", "b.jpg", "Missing"]]
    rows += [["44", "", "too", "long"], ["45", "a.jpg", ""]]
    path = folder / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "image", "text"], *rows])
    return path
