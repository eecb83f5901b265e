"""Scoring products with several pictures: by the first one, or by the mean of the probabilities over all."""

import json
from pathlib import Path

import numpy as np
import pytest
from known_model import BLUE, RED, picture
from stub_engine import StubEngine, rows_of, run

from client.__main__ import main
from client.api.errors import ClientError
from client.scoring.local import LocalEngine
from client.scoring.several_pictures import MOST_PICTURES, mean_scores, one_row_a_picture
from handlers.product_serving.errors import ProductError
from handlers.product_serving.scores import Scored
from training.catalog import CatalogRow

VIOLET = (160, 0, 95)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, colour in (("red", RED), ("blue", BLUE), ("violet", VIOLET)):
        (folder / f"{name}.png").write_bytes(picture(colour))
    (folder / "broken.png").write_bytes(b"\x89PNG broken")
    rows = [
        "1,red.png;blue.png;violet.png,Shoe",
        "2,red.png,Shoe",
        "3,blue.png,Shoe",
        "4,violet.png,Shoe",
        "5,broken.png;red.png,Shoe",
        "6,broken.png;gone.png,Shoe",
        "7,,Shoe",
    ]
    (folder / "products.csv").write_text("\n".join(["id,image,text", *rows]) + "\n")
    return folder / "products.csv"


def scores(out: Path) -> dict[str, dict[str, float]]:
    """Score by class, by id."""
    rows = rows_of(out / "predictions.csv")
    return {row["id"]: {each["label"]: each["score"] for each in json.loads(row["top"])} for row in rows}


def test_the_mean_is_over_all_pictures_that_are_read(known_archive: Path, shop: Path, tmp_path: Path) -> None:
    run(shop, tmp_path / "mean", LocalEngine(known_archive, pictures="mean"), pictures="mean")
    found = scores(tmp_path / "mean")
    for label in found["1"]:
        assert found["1"][label] == pytest.approx(np.mean([found[id][label] for id in "234"]), abs=2e-6)
    assert found["5"] == found["2"]
    assert [row["id"] for row in rows_of(tmp_path / "mean" / "errors.csv")] == ["6"]


def test_the_first_picture_answers_by_default(known_archive: Path, shop: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run(shop, tmp_path / "first", LocalEngine(known_archive), log=said.append)
    found = scores(tmp_path / "first")
    assert found["1"] == found["2"]
    reasons = {row["id"]: row["reason"] for row in rows_of(tmp_path / "first" / "errors.csv")}
    assert reasons == {"5": "unsupported_image", "6": "unsupported_image"}
    [note] = [line for line in said if line.startswith("note: ")]
    assert note.startswith("note: 3 products have several pictures") and note.endswith("is used")


def test_another_way_is_another_run(shop: Path, tmp_path: Path) -> None:
    run(shop, tmp_path / "out", StubEngine())
    with pytest.raises(ClientError, match="--pictures: first there, mean now"):
        run(shop, tmp_path / "out", StubEngine(), pictures="mean")


def test_a_server_cannot_average(capsys: pytest.CaptureFixture[str], shop: Path, tmp_path: Path) -> None:
    assert main(["score", str(shop), "--out", str(tmp_path / "out"), "--pictures", "mean"]) == 1
    assert "--engine local" in capsys.readouterr().err


def test_means_leave_out_errors() -> None:
    error = ProductError("image_corrupt", "image: broken")
    first, second = (Scored(np.array(values), np.array([True, False])) for values in ([0.8, 0.2], [0.4, 0.6]))
    mean = mean_scores([first, error, second])
    assert isinstance(mean, Scored) and mean.scores == pytest.approx(np.array([0.6, 0.4]))
    assert mean_scores([error, first]) is first
    assert mean_scores([error]) is error


def test_a_product_has_a_row_for_each_picture_up_to_a_limit() -> None:
    names = tuple(f"{number}.jpg" for number in range(50))
    rows = [CatalogRow(2, "1", "0.jpg", "Cap", "", pictures=names), CatalogRow(3, "2", "", "Hat", "")]
    split = one_row_a_picture(rows, pictures="mean")
    assert split.counts == [MOST_PICTURES, 1] and split.rows[1].image == "1.jpg" and split.rows[-1] == rows[1]
    assert one_row_a_picture(rows, pictures="first").rows == rows
