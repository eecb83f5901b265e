"""The results of a run as Excel workbooks, beside its CSVs. Texts stay texts: no formula, no lost zero, no date."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from client.api.log import Log
from client.scoring.outputs import CSV, FAILED, REVIEW, WORKBOOKS
from training.system.storage import CSV_ENCODING, atomic_path

TABLES = (CSV, REVIEW, FAILED)
MAX_ROWS = 2**20  # of a sheet, with its header
MAX_CELL = 32_767
# Excel refuses a file with these characters.
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"'[=+\-@\t\r]")
_NUMBERS: dict[str, Callable[[str], float]] = {"line": int, "score": float}


def write_workbooks(folder: Path, *, log: Log = print) -> None:
    """Write ``predictions.xlsx``, ``review.xlsx`` and ``errors.xlsx`` from the CSVs of a complete run.

    A table with more rows than a sheet holds has no workbook; ``log`` gets a line then.

    Args:
        folder: of the run.
    """
    for name, book in zip(TABLES, WORKBOOKS, strict=True):
        if (rows := _count(folder / name)) > MAX_ROWS:
            log(f"{book} is left out: {name} has {rows - 1:,} rows, and a sheet holds {MAX_ROWS - 1:,}")
            continue
        with atomic_path(folder / book) as partial:
            _write(partial, _rows(folder / name), title=Path(name).stem)


def _write(path: Path, rows: Iterator[list[str]], *, title: str) -> None:
    from openpyxl import Workbook  # noqa: PLC0415 - only this format needs it
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    header = next(rows)
    sheet.append(header)
    numbers = [_NUMBERS.get(name.split(" ")[-1]) for name in header]

    def cell(text: str, number: Callable[[str], float] | None) -> Any:
        if number is not None and text:
            return number(text)
        shown = WriteOnlyCell(sheet, _text(text))
        shown.data_type = "s"  # otherwise "=1+1" becomes a formula
        return shown

    for row in rows:
        sheet.append([cell(text, number) for text, number in zip(row, numbers, strict=True)])
    book.save(path)


def _text(text: str) -> str:
    """A cell of the CSV without the apostrophe of an escaped formula, and without what Excel refuses."""
    plain = _REFUSED.sub("", text.removeprefix("'") if _ESCAPED.match(text) else text)
    return plain if len(plain) <= MAX_CELL else plain[: MAX_CELL - 2] + " …"


def _rows(path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), 2**27))
    with path.open(encoding=CSV_ENCODING, newline="") as file:
        yield from csv.reader(file)


def _count(path: Path) -> int:
    return sum(1 for _ in _rows(path))
