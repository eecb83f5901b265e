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
from export.build import build_archive
from export.run_products import read_run_products
from handlers.product_serving.request import ProductFields
from handlers.product_serving.settings import ProductSettings
from training.catalog.drawn import COLOURS
from training.catalog.reading import CatalogSource
from training.data.attributes import MISSING
from training.evaluation.evaluate import evaluate_run
from training.pipeline.training_run import train_run
from training.run.options import TrainOptions

CLOTHES = ("Caps", "Dresses", "Shirts", "Socks", "Trousers")
TARGET = "label,department,gender,colour"
MODELS = ("image", "text", "late")
NAMES = ["label", "department", "gender", "colour"]


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
    assert list(record["attributes"]) == NAMES
    assert record["attributes"]["gender"] == ["Men", "Unisex", "Women"]
    assert record["hierarchies"] == [["label", "department"]]
    for name in (*MODELS, "baseline"):
        assert list(record["metrics"][name]) == NAMES
        assert {"accuracy", "macro_f1", "products"} <= record["metrics"][name]["colour"].keys()
    for name in MODELS:
        settings = ProductSettings.from_json(run / name / "settings.json")
        saved = np.load(run / name / "test.npz")
        assert saved["probabilities"].shape == (record["split"]["test"], sum(settings.sizes))
        assert (saved["truth"] == MISSING).any() and (saved["truth"][:, 0] != MISSING).all()
        for part in settings.slices.values():
            np.testing.assert_allclose(saved["probabilities"][:, part].sum(1), 1, rtol=1e-5)
    assert np.load(run / "baseline" / "test.npz")["predicted"].shape == (record["split"]["test"], len(NAMES))


def test_evaluation_gives_the_runs_own_numbers_and_measures_what_a_catalogue_has(
    run: Path, table: Path, read_json: Callable[[Path], Any]
) -> None:
    record = read_json(run / "run.json")
    measured = evaluate_run(run, CatalogSource(path=str(table)), part="test")["models"]
    for name in (*MODELS, "baseline"):
        assert measured[name]["attributes"] == record["metrics"][name]
    alone = evaluate_run(run, CatalogSource(path=str(table), label_column="label"), part="test")["models"]
    late = measured["late"]
    assert list(alone["late"]["attributes"]) == ["label"]
    assert alone["late"]["accuracy"] == late["accuracy"] == late["attributes"]["label"]["accuracy"]


@pytest.mark.slow
def test_the_archive_answers_all_attributes_and_no_shirt_is_an_accessory(run: Path, tmp_path: Path) -> None:
    test = read_run_products(run, limit=12)
    built = build_archive(run, "text", version="1.0", store=tmp_path, test=test, engine="onnx")
    assert all(list(each.attributes) == NAMES for each in built.parities.values())
    (tmp_path / "unpacked").mkdir()
    handler = load_handler(built.archive, tmp_path / "unpacked", threads=1)
    manifest = json.loads((tmp_path / "unpacked" / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["metrics"]) == list(manifest["attributes"]) == NAMES
    items = [ProductFields(*pair, 3) for pair in test.pairs()]
    products = handler.preprocess(items)
    answers = handler.explain(items, products, handler.inference(products), [False] * len(items))
    for answer in answers:
        assert isinstance(answer, dict) and list(answer["attributes"]) == NAMES[1:]
        department = answer["attributes"]["department"]["label"]
        assert department == ("Apparel" if answer["label"] in CLOTHES else "Accessories")
        assert answer["top"][0] == {"label": answer["label"], "score": answer["score"]}
    saved = np.load(run / "text" / "test.npz")
    ids = {id: row for row, id in enumerate(saved["ids"])}
    expected = saved["probabilities"][[ids[id] for id in test.products["id"]], : len(handler.settings.labels)].max(1)
    np.testing.assert_allclose([answer["score"] for answer in answers if isinstance(answer, dict)], expected, atol=1e-3)
