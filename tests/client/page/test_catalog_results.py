"""Where the page keeps a catalogue's scores: found again by the next click, gone when they are old; what it shows."""

import csv
import os
import time
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.page.catalog_results import SHOWN_CELL, SHOWN_ROWS, UNUSED, first_rows, scores_folder
from client.scoring.outputs import SUMMARY

ASKED = ["image", "text", "late 1.0"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    path.write_text("id,text\n1,Shoe\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def interrupted(folder: Path, table: Path, asked: list[str]) -> Path:
    """A click that ends in an error, once something was answered."""
    with pytest.raises(ClientError, match="gone"), scores_folder(folder, table, asked=asked) as out:
        (out / "parts").mkdir(exist_ok=True)
        raise ClientError("the server is gone")
    return out


def test_a_second_click_finds_what_the_first_one_left(folder: Path, table: Path, tmp_path: Path) -> None:
    first = interrupted(folder, table, ASKED)
    again = tmp_path / "uploaded again.csv"
    again.write_bytes(table.read_bytes())
    with scores_folder(folder, again, asked=ASKED) as out:
        assert out == first and (out / "parts").is_dir()


def test_another_table_column_or_version_is_another_folder(folder: Path, table: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("id,text\n1,Bag\n", encoding="utf-8")
    clicks = [(table, ASKED), (other, ASKED), (table, ["", "text", "late 1.0"]), (table, ["image", "text", "late 2.0"])]
    assert len({interrupted(folder, each, asked) for each, asked in clicks}) == len(clicks)


def test_a_complete_catalogue_is_scored_again(folder: Path, table: Path) -> None:
    with scores_folder(folder, table, asked=ASKED) as out:
        (out / SUMMARY).write_text("{}", encoding="utf-8")
    with scores_folder(folder, table, asked=ASKED) as again:
        assert again == out and not list(again.iterdir())


def test_what_nobody_has_used_for_an_hour_goes(folder: Path, table: Path) -> None:
    old = interrupted(folder, table, ASKED)
    recent = interrupted(folder, table, ["", "text", "late 1.0"])
    for path, age in ((old, UNUSED + 60), (recent, UNUSED - 60)):
        os.utime(path, times=(time.time() - age,) * 2)
    interrupted(folder, table, ["image", "", "late 1.0"])
    assert not old.exists() and recent.exists()
    os.utime(recent, times=(time.time() - UNUSED - 60,) * 2)
    with scores_folder(folder, table, asked=["", "text", "late 1.0"]) as out:
        assert (out / "parts").is_dir(), "one's own is used now"


def test_an_upload_that_is_gone_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    click = scores_folder(folder, tmp_path / "gone.csv", asked=ASKED)
    with pytest.raises(ClientError, match=r"gone\.csv cannot be read .*: upload it again"), click:
        pass


def test_a_long_title_does_not_hide_the_other_rows(tmp_path: Path) -> None:
    rows = [["2", "a" * 200_000, "text_too_long"], *([str(line), 'Shoe, "red"\r', "NA"] for line in range(3, 200))]
    with (tmp_path / "errors.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["line", "text", "reason"], *rows])
    found = first_rows(tmp_path / "errors.csv")
    assert len(found) == SHOWN_ROWS and found[0]["text"] == "a" * SHOWN_CELL + " …"
    assert found[1] == {"line": "3", "text": 'Shoe, "red"\r', "reason": "NA"}
    (tmp_path / "errors.csv").write_text("line,text,reason\n", encoding="utf-8")
    assert first_rows(tmp_path / "errors.csv") == []
