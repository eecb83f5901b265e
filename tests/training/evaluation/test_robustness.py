"""A run under every condition: the models read what the server would give them, and the file is complete."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy.special import softmax

from handlers.product_serving.preprocessing import Product, collate
from handlers.product_serving.settings import present_modalities
from training import commands
from training.__main__ import main
from training.catalog.reading import Catalog, CatalogSource, read_catalog
from training.data.damage.draws import product_random
from training.evaluation.conditions import CONDITIONS, PICTURE_DAMAGE
from training.evaluation.measured_products import GroupFeatures, MeasuredProducts
from training.evaluation.model_groups import load_groups
from training.evaluation.robustness import damage_products
from training.models import MODELS
from training.run.checkpoint import load_model
from training.system.device import Device

CPU = Device("cpu", False, "test")
ROWS = np.array([7, 2, 4])
Served = Callable[[str, list[Product]], np.ndarray]


@pytest.fixture(scope="module")
def catalog(drawn_catalogue: Path) -> Catalog:
    return read_catalog(CatalogSource(path=str(drawn_catalogue)), progress=False)


@pytest.fixture(scope="module")
def measured(catalog: Catalog) -> MeasuredProducts:
    """Three of ten products; one of them has no picture."""
    table = catalog.products.head(10).copy()
    table.loc[2, "image"] = ""
    return MeasuredProducts(catalog, table, np.zeros((len(table), 1), np.int64), ROWS)


@pytest.fixture(scope="module")
def features(trained_run: Path, measured: MeasuredProducts, tmp_path_factory: pytest.TempPathFactory) -> GroupFeatures:
    [group] = load_groups(trained_run, list(MODELS))
    return GroupFeatures(group, measured, device=CPU, folder=tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def served(trained_run: Path) -> Served:
    """What a model's whole graph answers, one product at a time."""
    loaded = {name: load_model(trained_run / name) for name in MODELS}

    def answer(name: str, products: list[Product]) -> np.ndarray:
        model, settings = loaded[name]
        with torch.no_grad():
            logits = [model(*map(torch.from_numpy, collate([product]))).numpy()[0] for product in products]
        fitted = [settings.for_modalities(present_modalities(product.present)).main for product in products]
        return np.stack([softmax(row / each.temperature) for row, each in zip(logits, fitted, strict=True)])

    return answer


def bytes_of(measured: MeasuredProducts, row: int) -> bytes | None:
    name = measured.products["image"][row]
    return measured.catalog.image_bytes(name) if name else None


@pytest.mark.parametrize("hidden", [(False, False), (True, False), (False, True)], ids=["clean", "no image", "no text"])
def test_a_missing_picture_or_title_is_read_as_in_the_server(
    served: Served, features: GroupFeatures, measured: MeasuredProducts, hidden: tuple[bool, bool]
) -> None:
    no_picture, no_title = hidden
    texts = [None if no_title else text for text in measured.products["text"]]
    products = [
        features.group.preprocessor(None if no_picture else bytes_of(measured, row), texts[row]) for row in range(3)
    ]
    together = features.put_together(hidden=np.tile(hidden, (3, 1)))
    assert together.present.tolist() == [product.present.tolist() for product in products]
    for name, probabilities in features.group.scores(together, device=CPU).items():
        rows = [row for row in range(3) if products[row].present.any()]
        expected = served(name, products)
        assert probabilities[rows] == pytest.approx(expected[rows], abs=2e-3), name


def test_damaged_pictures_and_titles_are_read_as_in_the_server(
    served: Served, features: GroupFeatures, measured: MeasuredProducts
) -> None:
    ids, preprocessor = measured.products["id"], features.group.preprocessor
    damage = PICTURE_DAMAGE["occluded 50 %"]
    forms = [["Marlow Bag", "Navy", ""], ["Red", "Navy Shoes", "Oak"]]
    titles = features.damaged_titles(forms)
    pictures = features.damaged_pictures(damage, seed=5)
    products = []
    for row, title in enumerate(forms[1]):
        product = preprocessor(None, title)
        if (encoded := bytes_of(measured, row)) is not None:
            picture = ImageOps.contain(preprocessor.picture(encoded), (64, 64), Image.Resampling.BICUBIC)
            square = preprocessor.fit(damage(picture, product_random(5, ids[row], "picture")))
            pixels = np.asarray(square).transpose(2, 0, 1)
            product = product._replace(image=pixels, present=np.array([True, True]))
        products.append(product)
    together = features.put_together(pictures=pictures, titles=titles, form=1)
    for name, probabilities in features.group.scores(together, device=CPU).items():
        assert probabilities == pytest.approx(served(name, products), abs=2e-3), name
    assert features.put_together(titles=titles, form=0).present.tolist() == [[True, True], [False, True], [True, False]]


def test_damage_does_not_depend_on_other_products(features: GroupFeatures, measured: MeasuredProducts) -> None:
    alone = MeasuredProducts(measured.catalog, measured.read, measured.targets, ROWS[2:])
    other = GroupFeatures(features.group, alone, device=CPU, folder=features.folder / "alone")
    for key in ("noise", "occluded 25 %"):
        together = features.damaged_pictures(PICTURE_DAMAGE[key], seed=0)[2]
        assert np.allclose(other.damaged_pictures(PICTURE_DAMAGE[key], seed=0)[0], together, atol=0.01)
        assert not np.allclose(features.damaged_pictures(PICTURE_DAMAGE[key], seed=1)[2], together, atol=0.01)


def test_changed_shares_count_products(measured: MeasuredProducts) -> None:
    changed = {each.condition.name: each.changed for each in damage_products(measured, seed=0)}
    assert changed["clean"] == {"title": 0, "image": 0}
    assert changed["title missing, 100 %"] == {"title": pytest.approx(2 / 3), "image": 0}  # one has no picture
    assert (
        changed["picture missing, 100 %"] == changed["JPEG quality, 10"] == {"title": 0, "image": pytest.approx(2 / 3)}
    )


@pytest.fixture(scope="module")
def grid(trained_run: Path, drawn_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run, measured by the command."""
    run = tmp_path_factory.mktemp("robust") / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("features", "state"))
    assert main(["evaluate", str(run), "--data", str(drawn_catalogue), "--part", "test", "--robustness"]) == 0
    return run


def test_the_file_of_the_report_is_complete(grid: Path, read_json: Callable[[Path], Any]) -> None:
    result, record = read_json(grid / "robustness.json"), read_json(grid / "run.json")
    assert [each["name"] for each in result["conditions"]] == [condition.name for condition in CONDITIONS]
    for condition in result["conditions"]:
        assert list(condition) == ["name", "kind", "tick", "changed", "models"]
        assert list(condition["models"]) == [*record["models"], "baseline"]
    clean = result["conditions"][0]["models"]
    assert {name: metrics["accuracy"] for name, metrics in clean.items()} == {
        name: metrics["label"]["accuracy"] for name, metrics in record["metrics"].items()
    }
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_damage_changes_only_models_that_read_the_modality(grid: Path, read_json: Callable[[Path], Any]) -> None:
    conditions = {each["name"]: each for each in read_json(grid / "robustness.json")["conditions"]}
    clean = conditions["clean"]["models"]
    for condition in conditions.values():
        if condition["changed"]["title"] == 0:
            assert condition["models"]["text"] == clean["text"] and condition["models"]["baseline"] == clean["baseline"]
        if condition["changed"]["image"] == 0:
            assert condition["models"]["image"] == clean["image"]
    # With no title anywhere, late fusion is the image model and the baseline says one and the same.
    gone = conditions["title missing, 100 %"]["models"]
    assert gone["late"]["accuracy"] == gone["image"]["accuracy"]
    assert gone["baseline"]["accuracy"] == pytest.approx(1 / gone["baseline"]["classes"], abs=0.1)
    assert conditions["title of another product"]["models"]["baseline"]["accuracy"] < clean["baseline"]["accuracy"]


def test_only_the_test_part_is_kept_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "evaluate_run", lambda run, source, **chosen: {"hints": [], "models": {}, **chosen})
    kept, out = tmp_path / "robustness.json", tmp_path / "out.json"
    for part in (["--part", "validation"], []):
        assert main(["evaluate", str(tmp_path), "--data", "x.csv", "--robustness", "--out", str(out), *part]) == 0
        assert out.exists() and not kept.exists()
    assert capsys.readouterr().err.splitlines()[0].endswith(f"{len(CONDITIONS)} conditions; progress below.")
    assert main(["evaluate", str(tmp_path), "--data", "x.csv", "--robustness", "--part", "test", "--seed", "3"]) == 0
    written = json.loads(kept.read_text(encoding="utf-8"))
    assert (written["seed"], written["part"], written["robustness"]) == (3, "test", True)
