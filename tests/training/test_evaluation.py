"""A run measured on a catalogue: its own test products give its own figures, strangers are counted apart."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from training.__main__ import main
from training.catalog import CatalogError, CatalogSource
from training.evaluation import evaluate_run


@pytest.fixture
def test_products(trained_run: Path, drawn_catalogue: Path, tmp_path: Path) -> Callable[[], Path]:
    """A CSV of the run's test products, beside the pictures of the drawn catalogue."""
    table = pd.read_csv(drawn_catalogue, dtype=str, keep_default_na=False)
    split = pd.read_csv(trained_run / "split.csv", dtype=str, keep_default_na=False)
    own = table[(split["part"] == "test").to_numpy()]
    shutil.copytree(drawn_catalogue.parent / "images", tmp_path / "images")

    def write(**labels: str) -> Path:
        path = tmp_path / "products.csv"
        own.assign(label=own["label"].replace(labels)).to_csv(path, index=False)
        return path

    return write


def test_the_runs_own_test_products_give_its_own_figures(
    trained_run: Path, test_products: Callable[[], Path], read_json: Callable[[Path], Any]
) -> None:
    result = evaluate_run(trained_run, CatalogSource(path=str(test_products())))
    for name, metrics in read_json(trained_run / "run.json")["metrics"].items():
        if name != "baseline":
            assert result["models"][name] == pytest.approx(metrics, abs=1e-3)


def test_labels_never_seen_are_counted_apart(trained_run: Path, test_products: Callable[..., Path]) -> None:
    whole = evaluate_run(trained_run, CatalogSource(path=str(test_products())))
    result = evaluate_run(trained_run, CatalogSource(path=str(test_products(Shoes="Boats"))))
    assert result["unknown_labels"].keys() == {"Boats"}
    assert result["products"] == whole["products"] - result["unknown_labels"]["Boats"]


def test_no_label_in_common_is_an_error(trained_run: Path, drawn_catalogue: Path) -> None:
    with pytest.raises(CatalogError, match="has a label the run knows"):
        evaluate_run(trained_run, CatalogSource(path=str(drawn_catalogue), label_column="text"))


def test_the_command_writes_json(
    trained_run: Path, test_products: Callable[[], Path], tmp_path: Path, read_json: Callable[[Path], Any]
) -> None:
    out = tmp_path / "metrics.json"
    assert main(["evaluate", str(trained_run), "--data", str(test_products()), "--out", str(out)]) == 0
    assert set(read_json(out)["models"]) == {"image", "text", "early", "intermediate", "late"}


def test_a_wrong_column_is_a_sentence(
    trained_run: Path, drawn_catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained_run), "--data", str(drawn_catalogue), "--target", "colour"]) == 1
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ") and "colour" in error and "label" in error
