"""Results for spreadsheets: a mark at the start of CSVs, and workbooks whose texts stay texts."""

from pathlib import Path

import pytest
from openpyxl import load_workbook
from stub_engine import StubEngine, rows_of, run

from client.scoring import workbooks
from client.scoring.outputs import CSV, FAILED, REVIEW, WORKBOOKS
from client.scoring.workbooks import write_workbooks

TITLES = ["=1+1", "'quoted", "Gömlek", "00123", "a\x0bb", "1-2", "-5", "x" * 9_000]


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """The results of a catalogue whose titles a spreadsheet would change."""
    rows = [f'"00{number}",,"{title}"' for number, title in enumerate(TITLES * 8)]
    (tmp_path / "shop.csv").write_text("\n".join(["id,image,text", *rows, "x,,"]) + "\n", encoding="utf-8")
    run(tmp_path / "shop.csv", tmp_path / "out", StubEngine())
    return tmp_path / "out"


@pytest.mark.parametrize("name", [CSV, REVIEW, FAILED])
def test_a_spreadsheet_sees_that_a_csv_is_utf8(scored: Path, name: str) -> None:
    assert (scored / name).read_bytes().startswith(b"\xef\xbb\xbf")
    assert not (scored / name).read_bytes()[3:].startswith(b"\xef\xbb\xbf")


def test_a_workbook_holds_what_the_csv_holds(scored: Path) -> None:
    write_workbooks(scored)
    for name, book in zip((CSV, REVIEW, FAILED), WORKBOOKS, strict=True):
        header, *rows = load_workbook(scored / book).active.iter_rows()
        told = rows_of(scored / name)
        assert [cell.value for cell in header] == list(told[0]) and len(rows) == len(told)
        assert {cell.data_type for row in rows for cell in row} <= {"s", "n", "inlineStr"}, "no formula, no date"
        place = list(told[0]).index("id")
        assert [row[place].value for row in rows] == [row["id"] for row in told]
    lines = [row[0].value for row in load_workbook(scored / WORKBOOKS[0]).active.iter_rows(min_row=2)]
    assert all(isinstance(line, int) for line in lines)


def test_texts_of_formulas_have_no_apostrophe(scored: Path) -> None:
    write_workbooks(scored)
    texts = {str(cell.value) for row in load_workbook(scored / WORKBOOKS[0]).active.iter_rows() for cell in row}
    assert {"=1+1", "'quoted", "Gömlek", "00123", "ab"} <= texts


def test_a_table_that_no_sheet_holds_is_left_out(scored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROWS", 10)
    said: list[str] = []
    write_workbooks(scored, log=said.append)
    assert not (scored / WORKBOOKS[0]).exists() and (scored / WORKBOOKS[2]).exists()
    assert any("predictions.xlsx is left out" in line and "a sheet holds 9" in line for line in said)


def test_the_folder_with_workbooks_is_still_that_of_a_run(scored: Path) -> None:
    write_workbooks(scored)
    run(scored.parent / "shop.csv", scored, StubEngine(), replace=True)
    assert not any((scored / name).exists() for name in WORKBOOKS)
