"""A run that answered nothing is no success: its status is not 0, and the first reasons are printed."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from client.__main__ import main


def shop(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("id", "image", "text", "kind")) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "products.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "products.csv"


def run(command: str, catalogue: Path, archive: Path, *further: str) -> int:
    out = str(catalogue.parent.parent / command)
    return main([command, str(catalogue), "--out", out, "--engine", "local", "--archive", str(archive), *further])


MISSING = [[str(row), f"{row}.jpg", "", "Shoes"] for row in range(5)]
OUTSIDE = [["7", "../a.jpg", "Shoe", "Shoes"], ["8", "", "", "Shoes"]]


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        (MISSING, ["image_missing: 5, first in line 2: '0.jpg' is not there"]),
        (OUTSIDE, ["image_outside: 1, first in line 2", "product_empty: 1, first in line 3"]),
    ],
)
def test_a_score_without_an_answer_is_refused_also_the_second_time(
    known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[list[str]], reasons: list[str]
) -> None:
    catalogue = shop(tmp_path / "shop", rows)
    for _ in range(2):
        assert run("score", catalogue, known_archive) == 1
        told = capsys.readouterr()
        assert (
            f"error: none of the {len(rows)} rows was answered" in told.err and "errors.csv lists them all" in told.err
        )
        assert all(reason in told.err for reason in reasons)
    assert (tmp_path / "score" / "errors.csv").is_file()


def test_one_answer_is_enough(known_archive: Path, tmp_path: Path) -> None:
    assert run("score", shop(tmp_path / "shop", [*MISSING, ["9", "", "Shoe", "Shoes"]]), known_archive) == 0


def test_an_audit_without_an_answer_is_refused(
    known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", shop(tmp_path / "shop", MISSING), known_archive, "--labels", "kind") == 1
    told = capsys.readouterr()
    assert "none of the 5 rows was answered" in told.err and "image_missing: 5" in told.err
    assert not (tmp_path / "audit" / "audit.html").exists()


def test_an_audit_of_labels_that_nobody_knows_is_refused(
    known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[str(row), "", "Shoe", "Scarves"] for row in range(5)]
    assert run("audit", shop(tmp_path / "shop", rows), known_archive, "--labels", "kind") == 1
    assert "no label could be checked: the model knows none of 'Scarves'" in capsys.readouterr().err


def test_an_audit_says_how_many_rows_it_leaves_out_and_why(
    known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[str(row), "", "Shoe", "Shoes"] for row in (1, 2, 2)] + [["3", "", "Shoe", ""]]
    run("audit", shop(tmp_path / "shop", rows), known_archive, "--labels", "kind")
    assert (
        "2 rows are not checked: id_duplicate 1, label_empty 1 (first in line 4: line 3 has" in capsys.readouterr().out
    )


def test_scoring_answers_every_row_whatever_its_id_and_says_so(
    known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = shop(tmp_path / "shop", [[id, "", "Shoe", ""] for id in ("1", "1", "", "2")])
    assert run("score", catalogue, known_archive) == 0
    assert "4 rows read = 4 predicted + 0 errors" in (said := capsys.readouterr().out)
    assert (
        "note: 1 rows have an id of the column 'id' that an earlier row has, such as '1' in the lines 2 and 3" in said
    )


@pytest.mark.parametrize("header", [("id", "photo", "text", "kind"), ("id", "image", "title", "kind")])
def test_a_modality_is_left_out_only_if_that_is_asked_for(
    known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], header: Sequence[str]
) -> None:
    catalogue = shop(tmp_path / "shop", [["1", "", "Shoe", ""]], header)
    missing = "image" if "photo" in header else "text"
    assert run("score", catalogue, known_archive) == 1
    told = capsys.readouterr().err
    assert f"no column {missing!r}; its columns are 'id', " in told and f'--{missing}-column "" goes on without' in told
    assert run("score", catalogue, known_archive, f"--{missing}-column", "") == (0 if missing == "image" else 1)
