"""A run from catalogue to files: every row once, in order, with its answer or its reason; and what a run refuses."""

import csv
import errno
import json
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stub_engine import StubEngine, answer, fingerprint, rows_of, run

from client.api.errors import ClientError, ServerError
from client.api.inference import Product
from client.scoring.workspace import Workspace
from training.catalog import CatalogError, CatalogFiles
from training.system.storage import StorageError

REASONS = {"product_empty", "image_outside", "image_missing", "row_malformed"}


def test_every_row_is_answered_or_has_its_reason(catalogue: Path, tmp_path: Path) -> None:
    summary = run(catalogue, tmp_path / "out", StubEngine())
    predictions, errors = (rows_of(tmp_path / "out" / name) for name in ("predictions.csv", "errors.csv"))
    assert summary["read"] == summary["predicted"] + summary["errors"] == 47
    assert sorted(int(row["line"]) for row in predictions + errors) == list(range(2, 49))
    assert {row["reason"] for row in errors} == REASONS | {"image_corrupt"}
    for row in predictions:
        expected = answer(Product(b"a picture" if row["image"] else None, row["text"] or None))
        assert not isinstance(expected, ServerError)
        assert (row["label"], float(row["score"])) == (expected.label, expected.score)
        assert json.loads(row["top"]) == [entry._asdict() for entry in expected.top]
        assert row["modalities"] == "+".join(expected.modalities)


def test_the_files_agree(catalogue: Path, tmp_path: Path) -> None:
    summary = run(catalogue, tmp_path / "out", StubEngine())
    predictions, review = (rows_of(tmp_path / "out" / name) for name in ("predictions.csv", "review.csv"))
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["line"] for row in table] == [int(row["line"]) for row in predictions]
    assert [row["top"] for row in table] == [json.loads(row["top"]) for row in predictions]
    least_certain = sorted((row for row in table if row["needs_review"]), key=lambda row: (row["score"], row["line"]))
    assert [int(row["line"]) for row in review] == [row["line"] for row in least_certain]
    assert 0 < len(review) == summary["review"] < len(predictions)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("predictions.parquet", "predictions.csv", "review.csv", "errors.csv", "summary.json", ".lock")
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "parquet"])
def test_catalogues_of_every_kind_are_scored_alike(catalogue: Path, tmp_path: Path, kind: str) -> None:
    run(catalogue, tmp_path / "csv", StubEngine())
    other = catalogue.parent
    if kind == "zip":
        other = tmp_path / "shop.zip"
        with zipfile.ZipFile(other, "w") as archive:
            for name in ("products.csv", "a.jpg"):
                archive.write(catalogue.parent / name, name)
    elif kind == "parquet":
        other = catalogue.with_suffix(".parquet")
        rows = [row for row in csv.reader(catalogue.read_text(encoding="utf-8").splitlines()) if len(row) == 3]
        pq.write_table(pa.Table.from_pylist([dict(zip(rows[0], row, strict=True)) for row in rows[1:]]), other)
    run(other, tmp_path / kind, StubEngine())
    tables = [pq.read_table(tmp_path / name / "predictions.parquet").drop("line") for name in ("csv", kind)]
    assert tables[0].equals(tables[1])


def test_titles_come_back_to_the_letter(tmp_path: Path) -> None:
    titles = ['3.5" heel, "new"', "two\nlines", "a\rb", "Müller 👟", "null", "  "]
    path = tmp_path / "shop.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([title] for title in titles)])
    run(path, tmp_path / "out", StubEngine(), columns={"image_column": ""})
    found = rows_of(tmp_path / "out" / "predictions.csv") + rows_of(tmp_path / "out" / "errors.csv")
    assert {row["text"] for row in found} == {title.strip() for title in titles if title.strip()}


def test_a_spreadsheet_runs_nothing_of_a_catalogue(tmp_path: Path) -> None:
    rows = [["@cmd", "", "=1+1"], ["-7", "", "+Shirt"], ["x", "=a.jpg", ""]]
    with (tmp_path / "shop.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "image", "text"], *rows])
    run(tmp_path / "shop.csv", tmp_path / "out", StubEngine())
    found = rows_of(tmp_path / "out" / "predictions.csv") + rows_of(tmp_path / "out" / "errors.csv")
    assert [(row["id"], row["image"], row["text"]) for row in found] == [
        ("'@cmd", "", "'=1+1"),
        ("-7", "", "'+Shirt"),
        ("x", "'=a.jpg", ""),
    ]
    assert pq.read_table(tmp_path / "out" / "predictions.parquet")["text"].to_pylist() == ["=1+1", "+Shirt"]


def test_results_beside_a_parquet_are_not_taken_for_the_catalogue(tmp_path: Path) -> None:
    shop, again = tmp_path / "shop", StubEngine()
    shop.mkdir()
    table = pa.table({"image": ["", "a\0.jpg"], "text": ["Shoe", "Nothing has that picture's name"]})
    pq.write_table(table, shop / "products.parquet")
    summary = run(shop, shop / "scores", StubEngine())
    assert summary["reasons"] == {"image_missing": 1}
    assert (run(shop, shop / "scores", again), again.asked) == (summary, 0)


def test_engines_may_work_in_another_folder(catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []

    class Elsewhere(StubEngine):
        def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
            folders.append(workspace.folder)
            return super().score(workspace, files, chunks)

    run(catalogue, Path("out"), Elsewhere())
    assert folders == [tmp_path / "out" / "parts"]


def test_the_same_run_again_asks_nothing(catalogue: Path, tmp_path: Path) -> None:
    summary = run(catalogue, tmp_path / "out", StubEngine())
    before, again, said = fingerprint(tmp_path / "out"), StubEngine(), []
    assert run(catalogue, tmp_path / "out", again, log=said.append) == summary
    assert (again.asked, fingerprint(tmp_path / "out")) == (0, before)
    assert "Already done" in said[-1]


def test_an_interrupted_run_asks_only_what_is_left(catalogue: Path, tmp_path: Path) -> None:
    run(catalogue, tmp_path / "whole", whole := StubEngine())
    with pytest.raises(KeyboardInterrupt):
        run(catalogue, tmp_path / "out", StubEngine(stop_after=20))
    said: list[str] = []
    run(catalogue, tmp_path / "out", rest := StubEngine(), log=said.append)
    assert rest.asked == whole.asked - 16
    assert "47 rows in 3 chunks, 16 already answered" in said
    assert fingerprint(tmp_path / "out") == fingerprint(tmp_path / "whole")


def test_the_folder_of_another_run_is_left_alone(catalogue: Path, tmp_path: Path) -> None:
    run(catalogue, tmp_path / "done", StubEngine())
    with pytest.raises(KeyboardInterrupt):
        run(catalogue, tmp_path / "half", StubEngine(stop_after=20))
    before = [fingerprint(tmp_path / name) for name in ("done", "half")]
    for name in ("done", "half"):
        with pytest.raises(ClientError, match="--top-k: the model's default there, 3 now"):
            run(catalogue, tmp_path / name, StubEngine(), top_k=3)
        with catalogue.open("a") as file:
            file.write("99,,One more\n")
        with pytest.raises(ClientError, match=r"another run: the catalogue is another one.* --out, .* --replace"):
            run(catalogue, tmp_path / name, StubEngine())
        catalogue.write_text("".join(catalogue.read_text().splitlines(keepends=True)[:-1]))
    assert before == [fingerprint(tmp_path / name) for name in ("done", "half")]


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(catalogue, tmp_path / "whole", StubEngine())
    for failing in (1, 4, 2, 4):
        calls: list[Any] = []

        def replace(source: Path, target: Path, calls: list[Any] = calls, failing: int = failing) -> None:
            calls.append(target)
            if len(calls) == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            shutil.move(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", replace)
            with pytest.raises(StorageError, match=r"is full: .* the same command again: it goes on"):
                run(catalogue, tmp_path / "out", StubEngine())
    run(catalogue, tmp_path / "out", StubEngine())
    assert fingerprint(tmp_path / "out") == fingerprint(tmp_path / "whole")


@pytest.mark.parametrize("name", ["ids.sqlite", "review.sqlite"])
def test_a_disk_without_room_for_a_database_is_an_error(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run(catalogue, tmp_path / "whole", StubEngine())
    real = sqlite3.connect

    def connect(path: Path, **options: Any) -> sqlite3.Connection:
        connection = real(path, **options)
        if path.name == name:
            connection.execute("PRAGMA max_page_count=1")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", connect)
        with pytest.raises(ClientError, match=rf"{name} cannot be written \(database or disk is full\).*continues"):
            run(catalogue, tmp_path / "out", StubEngine())
    run(catalogue, tmp_path / "out", StubEngine())
    assert fingerprint(tmp_path / "out") == fingerprint(tmp_path / "whole")


@pytest.mark.parametrize(
    ("content", "message"),
    [("image,text\n", "no rows"), ("name\nShoe\n", "no column 'image'"), ("", "is empty")],
)
def test_what_is_no_catalogue_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "shop.csv").write_text(content)
    with pytest.raises(CatalogError, match=message):
        run(tmp_path / "shop.csv", tmp_path / "out", StubEngine())
