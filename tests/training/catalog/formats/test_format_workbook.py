"""XLSX: the first sheet with rows; numbers, dates and empty cells as a CSV would have them."""

import datetime
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook
from shop_files import cells, read, write

from training.catalog.reading import CatalogError

HEADER = ["image", "text", "label"]


def book(*rows: list[object]) -> Workbook:
    made = Workbook()
    for row in rows:
        made.active.append(row)
    return made


def saved(made: Workbook) -> bytes:
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def test_cells_are_as_a_csv_has_them(tmp_path: Path) -> None:
    values = [7, 7.0, 7.5, True, datetime.datetime(2026, 11, 30), "  Cap ", "007"]
    made = book(["id", *HEADER], *([number, "a.jpg", value, "Caps"] for number, value in enumerate(values)))
    catalog = read(write(tmp_path, "shop.xlsx", saved(made)), max_rejected=0)
    assert catalog.products["text"].tolist() == ["7", "7", "7.5", "True", "2026-11-30T00:00:00", "Cap", "007"]
    assert catalog.products["id"].tolist() == [str(number) for number in range(7)]


def test_lines_are_those_of_the_sheet_and_empty_rows_are_skipped(tmp_path: Path) -> None:
    made = book(
        [], HEADER, ["a.jpg", "Cap", "Caps"], [None, " ", None], ["a.jpg", "Hat", "Hats"], ["a.jpg", "x", "y", "z"]
    )
    catalog = read(write(tmp_path, "shop.xlsx", saved(made)))
    assert catalog.products["id"].tolist() == ["3", "5"]
    assert catalog.rejected[["line", "reason"]].to_numpy().tolist() == [[6, "row_malformed"]]
    assert "1 rows of empty cells alone" in catalog.notes[-1]


def test_the_first_visible_sheet_with_rows_is_read_and_said(tmp_path: Path) -> None:
    made = Workbook()
    made.active.title = "Cover"
    hidden, shown = made.create_sheet("Hidden"), made.create_sheet("Products")
    hidden.sheet_state = "hidden"
    hidden.append(["secret"])
    shown.append(HEADER)
    shown.append(["a.jpg", "Cap", "Caps"])
    catalog = read(write(tmp_path, "shop.xlsx", saved(made)))
    assert cells(catalog) == [["a.jpg", "Cap", "Caps"]]
    assert catalog.notes == ["shop.xlsx has 3 sheets: 'Products' is read"]


def test_a_workbook_without_a_header_is_read_with_header(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.xlsx", saved(book(["a.jpg", "Cap", "Caps"])))
    assert cells(read(path, header="image,text,label")) == [["a.jpg", "Cap", "Caps"]]


def test_an_empty_workbook_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"shop\.xlsx is empty"):
        read(write(tmp_path, "shop.xlsx", saved(Workbook())))


def rewritten(path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """A workbook with one part changed."""
    whole = zipfile.ZipFile(io.BytesIO(saved(book(HEADER, ["a.jpg", "Cap", "Caps"]))))
    with whole, zipfile.ZipFile(path, "w") as other:
        for name in whole.namelist():
            other.writestr(name, change(whole.read(name)) if name == part else whole.read(name))
    return path


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"])
def test_a_damaged_workbook_is_an_error(tmp_path: Path, part: str) -> None:
    with pytest.raises(CatalogError, match=r"shop\.xlsx cannot be read as an Excel workbook"):
        read(rewritten(tmp_path / "shop.xlsx", part, lambda _: b"<not xml"))


def test_a_workbook_with_a_bomb_of_entities_fills_no_memory(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    start = f'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY l0 "ha">{laughs}]>'.encode()

    def hostile(text: bytes) -> bytes:
        return start + text.replace(b"<sheetData>", b"<sheetData>&l9;")

    with pytest.raises(CatalogError, match=r"shop\.xlsx cannot be read as an Excel workbook"):
        read(rewritten(tmp_path / "shop.xlsx", "xl/worksheets/sheet1.xml", hostile))
