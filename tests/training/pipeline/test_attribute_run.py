"""A run of several targets on the drawn catalogue, from the table with its gaps to the archive's answers."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.scoring.local import load_handler
from export.build import build_archive, read_test_products
from handlers.product_serving.request import ProductFields
from handlers.product_serving.settings import ProductSettings
from training.catalog.drawn import COLOURS
from training.catalog.reading import CatalogSource
from training.data.attributes import MISSING
from training.evaluation.evaluate import evaluate_run
from training.pipeline.order import train_run
from training.run.options import TrainOptions

CLOTHES = ("Caps", "Dresses", "Shirts", "Socks", "Trousers")
TARGET = "label,department,gender,colour"
MODELS = ("image", "text", "late")


@pytest.fixture(scope="module")
def table(drawn_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn catalogue with what its titles say as columns; some cells are empty."""
    folder = tmp_path_factory.mktemp("attributes") / "drawn"
    shutil.copytree(drawn_catalogue.parent, folder)
    with drawn_catalogue.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        words = row["text"].split()
        row["department"] = "Apparel" if row["label"] in CLOTHES else "Accessories"
        row["gender"] = "NA" if number % 7 == 0 else next(word for word in words if word in ("Men", "Women", "Unisex"))
        row["colour"] = "" if number % 5 == 0 else next(word for word in words if word in COLOURS)
    path = folder / "several.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def run(options: Callable[..., TrainOptions], table: Path) -> Path:
    source = CatalogSource(path=str(table), label_column=TARGET)
    return train_run(options(source=source, models=MODELS, attribute_weights=(("gender", 1.0),)))


def test_a_run_tells_all_attributes_and_knows_what_follows(run: Path, read_json: Callable[[Path], Any]) -> None:
    record = read_json(run / "run.json")
    assert record["target"] == "label" and list(record["attributes"]) == ["department", "gender", "colour"]
    assert record["attributes"]["gender"] == ["Men", "Unisex", "Women"]
    assert record["hierarchies"] == [["label", "department"]]
    for name in (*MODELS, "baseline"):
        assert {"accuracy", "macro_f1", "products"} <= record["metrics"][name]["attributes"]["colour"].keys()
    for name in MODELS:
        settings = ProductSettings.from_json(run / name / "settings.json")
        saved = np.load(run / name / "test-attributes.npz")
        classes = sum(len(head.labels) for head in settings.heads)
        assert saved["probabilities"].shape == (record["split"]["test"], classes)
        assert (saved["truth"] == MISSING).any() and (saved["truth"][:, 0] != MISSING).all()
        of_target = np.load(run / name / "test.npz")["probabilities"]
        np.testing.assert_array_equal(saved["probabilities"][:, : len(settings.labels)], of_target)


def test_evaluation_gives_the_runs_own_numbers_and_measures_what_a_catalogue_has(
    run: Path, table: Path, read_json: Callable[[Path], Any]
) -> None:
    record = read_json(run / "run.json")
    measured = evaluate_run(run, CatalogSource(path=str(table)), part="test")["models"]
    for name in (*MODELS, "baseline"):
        assert measured[name]["attributes"] == record["metrics"][name]["attributes"]
    alone = evaluate_run(run, CatalogSource(path=str(table), label_column="label"), part="test")["models"]
    assert "attributes" not in alone["late"] and alone["late"]["accuracy"] == measured["late"]["accuracy"]


@pytest.mark.slow
def test_the_archive_answers_all_attributes_and_no_shirt_is_an_accessory(run: Path, tmp_path: Path) -> None:
    test = read_test_products(run, limit=12)
    built = build_archive(run, "text", version="1.0", store=tmp_path, test=test, engine="onnx")
    assert all(set(each.attributes) == {"department", "gender", "colour"} for each in built.parities.values())
    (tmp_path / "unpacked").mkdir()
    handler = load_handler(built.archive, tmp_path / "unpacked", threads=1)
    manifest = json.loads((tmp_path / "unpacked" / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["metrics"]["attributes"]) == list(manifest["attributes"]) == ["department", "gender", "colour"]
    items = [ProductFields(*pair, 3) for pair in test.pairs()]
    products = handler.preprocess(items)
    answers = handler.explain(items, products, handler.inference(products), [False] * len(items))
    for answer in answers:
        assert isinstance(answer, dict) and list(answer["attributes"]) == ["department", "gender", "colour"]
        department = answer["attributes"]["department"]["label"]
        assert department == ("Apparel" if answer["label"] in CLOTHES else "Accessories")
        assert answer["top"][0] == {"label": answer["label"], "score": answer["score"]}
    saved = np.load(run / "text" / "test-attributes.npz")
    ids = {id: row for row, id in enumerate(saved["ids"])}
    expected = saved["probabilities"][[ids[id] for id in test.products["id"]], : len(handler.settings.labels)].max(1)
    np.testing.assert_allclose([answer["score"] for answer in answers if isinstance(answer, dict)], expected, atol=1e-3)
