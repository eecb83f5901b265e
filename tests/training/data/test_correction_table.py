"""Corrections that a spreadsheet has saved: read, or what is wrong with them is named."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from openpyxl import Workbook

from training.catalog.reading import CatalogError
from training.data.corrections import apply_corrections, corrections_csv, read_corrections

ROWS = [
    ["id", "column", "given", "label"],
    ["0012", "kind", "Gömlek", "Şapka"],
    ["7", "kind", "Bags", 'Bags, "big"; two'],
]


def plain(separator: str, encoding: str, *, before: str = "", after: str = "") -> bytes:
    lines = [separator.join(f'"{cell.replace(chr(34), 2 * chr(34))}"' for cell in row) + after for row in ROWS]
    return (before + "\r\n".join(lines) + "\r\n").encode(encoding)


def workbook() -> bytes:
    book, buffer = Workbook(), io.BytesIO()
    for row in ROWS:
        book.active.append(row)
    book.active.append([None] * 6)
    book.save(buffer)
    return buffer.getvalue()


SAVED = {
    "our own": plain(",", "utf-8-sig"),
    "semicolons": plain(";", "utf-8"),
    "semicolons, cp1254": plain(";", "cp1254"),
    "tabs, UTF-16": plain("\t", "utf-16"),
    "bars": plain("|", "utf-8"),
    "sep=": plain(";", "cp1254", before="sep=;\r\n"),
    "sep= in quotes": plain(";", "utf-8-sig", before='"sep=;"\n'),
    "empty columns": plain(";", "utf-8", after=";;"),
    "blank lines": b"\r\n" + plain(",", "utf-8") + b"\r\n,,,\r\n",
    "a workbook": workbook(),
}


@pytest.mark.parametrize("content", SAVED.values(), ids=SAVED)
def test_corrections_that_went_through_a_spreadsheet_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrections.csv"
    path.write_bytes(content)
    read = read_corrections(path)
    assert [list(each[1:]) for each in read] == ROWS[1:]
    path.write_text(corrections_csv(read), encoding="utf-8")
    assert [each[1:] for each in read_corrections(path)] == [each[1:] for each in read]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "corrections.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_zeros_that_a_spreadsheet_has_taken_are_put_back(write: Callable[[str], Path]) -> None:
    path = write("id;label\n12;Caps\n7;Caps\n0;Caps\n")
    ids = ["0012", "7", "007", "00", "x"]
    assert [each.id for each in read_corrections(path, ids=ids)] == ["0012", "7", "00"]


@pytest.mark.parametrize(
    ("id", "told"),
    [("12", "leading zeros, and several products"), ("1.23E+11", "shortened long numbers"), ("1,2E+5", "shortened")],
)
def test_what_cannot_be_put_back_is_named(write: Callable[[str], Path], id: str, told: str) -> None:
    path = write(f'id,label\n"{id}",Caps\n')
    products = pd.DataFrame({"id": ["0012", "012", "123000000000"], "label": ["Bags"] * 3})
    corrections = read_corrections(path, ids=products["id"])
    with pytest.raises(CatalogError, match=told):
        apply_corrections(products, corrections, columns=["label"], name=path.name)


@pytest.mark.parametrize("content", [b"PK\x03\x04 no workbook", b"\xff\xfe\x00", b""])
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrections.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"corrections\.csv"):
        read_corrections(path)
