"""A catalogue scored by the command line: the live server and the archive's model in this process answer alike."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from client.__main__ import main
from client.server.config import ServerConfig

COLUMNS = ["line", "id", "image", "text", "label", "needs_review", "modalities"]


@pytest.fixture(scope="module")
def catalogue(drawn_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn products, some without a title, and some that cannot be answered."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    for picture in (drawn_catalogue.parent / "images").iterdir():
        (folder / "images" / picture.name).hardlink_to(picture)
    header, *lines = drawn_catalogue.read_text(encoding="utf-8").splitlines()
    cells = [line.split(",") for line in lines]
    rows = [",".join([image, "" if row % 7 == 0 else text, label]) for row, (image, text, label) in enumerate(cells)]
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "gif.jpg").write_bytes(b"GIF89a, and nothing more")
    bad = ["broken.jpg,Shoe,x", "gif.jpg,Shoe,x", "none.jpg,Shoe,x", ",,x", ",Red Shoe,x"]
    path = folder / "products.csv"
    path.write_text("\n".join([header, *rows, *bad]) + "\n", encoding="utf-8")
    return path


def test_server_and_archive_answer_alike(
    config: ServerConfig, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(config.path), "score", str(catalogue), "--out"]
    assert main([*arguments, str(tmp_path / "server")]) == 0
    assert main([*arguments, str(tmp_path / "local"), "--engine", "local", "--version", "1.0"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"Scoring {catalogue} with intermediate 1.0 (a server, 32 connections) into ")
    assert [line for line in said if " rows read = 101 predicted + 4 errors (" in line] == [said[3], said[7]]
    server, local = (pq.read_table(tmp_path / name / "predictions.parquet") for name in ("server", "local"))
    assert server.select(COLUMNS).equals(local.select(COLUMNS))
    assert server["score"].to_pylist() == pytest.approx(local["score"].to_pylist(), abs=1e-5)
    errors = [(tmp_path / name / "errors.csv").read_text(encoding="utf-8") for name in ("server", "local")]
    assert errors[0] == errors[1]


def test_what_cannot_be_scored_is_a_sentence(
    config: ServerConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(config.path), "score", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert main([*arguments, "--model", "other"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "none.csv does not exist" in errors[0] and "other is not registered" in errors[1]
    assert not (tmp_path / "out").exists()
