"""A run measured on a catalogue: its own test products give its own metrics; unknown labels are counted apart."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from training.__main__ import main
from training.catalog.reading import CatalogError, CatalogSource
from training.evaluation.evaluate import evaluate_run
from training.evaluation.model_groups import load_groups
from training.pipeline.training_run import train_run
from training.run.options import TrainOptions
from training.system.storage import write_json


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


@pytest.fixture(scope="module")
def of_test_part(trained_run: Path, drawn_catalogue: Path) -> dict[str, Any]:
    """The run's own test part, measured."""
    return evaluate_run(trained_run, CatalogSource(path=str(drawn_catalogue)), part="test")


@pytest.fixture(scope="module")
def of_all(trained_run: Path, drawn_catalogue: Path) -> dict[str, Any]:
    """The run's whole catalogue, measured."""
    return evaluate_run(trained_run, CatalogSource(path=str(drawn_catalogue)))


@pytest.fixture
def run_copy(trained_run: Path, tmp_path: Path) -> Path:
    """The run, to be changed."""
    return shutil.copytree(trained_run, tmp_path / "run", ignore=shutil.ignore_patterns("features", "state"))


def test_the_runs_own_test_products_give_its_own_figures(
    trained_run: Path, test_products: Callable[[], Path], read_json: Callable[[Path], Any]
) -> None:
    result = evaluate_run(trained_run, CatalogSource(path=str(test_products())))
    assert result["trained_on"] is None and "no ids" in result["hints"][0]  # line numbers of another file
    for name, metrics in read_json(trained_run / "run.json")["metrics"].items():
        assert result["models"][name]["attributes"]["label"] == pytest.approx(metrics["label"], abs=1e-3)


def same_figures(result: dict[str, Any], record: dict[str, Any]) -> bool:
    return all(
        result["models"][name]["attributes"] == metrics
        and {key: result["models"][name][key] for key in metrics["label"]} == metrics["label"]
        for name, metrics in record["metrics"].items()
    )


def test_the_test_part_gives_the_runs_own_figures_to_the_last_digit(
    trained_run: Path, of_test_part: dict[str, Any], read_json: Callable[[Path], Any]
) -> None:
    assert same_figures(of_test_part, read_json(trained_run / "run.json"))
    assert (of_test_part["part"], of_test_part["trained_on"], of_test_part["hints"]) == ("test", 0, [])


def test_so_it_does_in_bfloat16_where_neighbours_in_a_batch_matter(
    options: Callable[..., TrainOptions], read_json: Callable[[Path], Any]
) -> None:
    small = options(precision="bf16", models=("early",), label_noise=0.2, text_epochs=0, head_epochs=1)
    run = train_run(small)
    assert same_figures(evaluate_run(run, small.source, part="test"), read_json(run / "run.json"))


def test_seen_products_are_counted(trained_run: Path, of_all: dict[str, Any], read_json: Callable[[Path], Any]) -> None:
    assert of_all["trained_on"] == read_json(trained_run / "run.json")["split"]["train"]
    assert "--part test" in of_all["hints"][0]


def test_labels_never_seen_are_counted_apart(trained_run: Path, test_products: Callable[..., Path]) -> None:
    path = test_products(Shoes="Boats")
    boats = (pd.read_csv(path)["label"] == "Boats").sum()
    result = evaluate_run(trained_run, CatalogSource(path=str(path)))
    assert result["unknown_labels"] == {"Boats": boats}
    assert result["products"] == len(pd.read_csv(path)) - boats


def test_a_part_of_another_catalogue_is_an_error(trained_run: Path, drawn_catalogue: Path, tmp_path: Path) -> None:
    table = pd.read_csv(drawn_catalogue, dtype=str, keep_default_na=False)
    table.assign(id=[f"new-{number}" for number in range(len(table))], image="").to_csv(tmp_path / "p.csv", index=False)
    source = CatalogSource(path=str(tmp_path / "p.csv"))
    with pytest.raises(CatalogError, match="no product of the run's test part"):
        evaluate_run(trained_run, source, part="test", max_rejected=1.0)


def test_curves_and_modalities_fit_the_figures(of_all: dict[str, Any]) -> None:
    models = of_all["models"]
    for name, metrics in models.items():
        if name == "baseline":
            continue
        bins = metrics["reliability"]
        assert sum(each["share"] for each in bins) == pytest.approx(1)
        gap = sum(each["share"] * abs(each["confidence"] - each["accuracy"]) for each in bins)
        assert gap == pytest.approx(metrics["ece"])
        assert metrics["risk_coverage"]["coverage"][-1] == 1
        assert metrics["risk_coverage"]["risk"][-1] == pytest.approx(1 - metrics["accuracy"])
        assert len(metrics["risk_coverage"]["coverage"]) <= 100
        assert ("modalities" in metrics) == (name in ("early", "intermediate", "late"))
    by_modality = models["late"]["modalities"]
    assert by_modality["image"]["accuracy"] == models["image"]["accuracy"]
    of_title = [models[name]["accuracy"] for name in ("text", "lexical")]  # both read it
    assert by_modality["text"]["accuracy"] >= min(of_title)
    assert by_modality["both"]["accuracy"] == models["late"]["accuracy"]


def test_without_its_catalogue_a_run_has_no_baseline_and_says_why(
    run_copy: Path, drawn_catalogue: Path, tmp_path: Path, read_json: Callable[[Path], Any]
) -> None:
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("".join(drawn_catalogue.read_text(encoding="utf-8").splitlines(True)[:10]), encoding="utf-8")
    record, source = read_json(run_copy / "run.json"), CatalogSource(path=str(drawn_catalogue))
    record = {**record, "models": ["text"]}
    for path, reason in (("gone.csv", "gone.csv"), (str(fewer), "lacks")):
        write_json(run_copy / "run.json", {**record, "source": {**record["source"], "path": path}})
        result = evaluate_run(run_copy, source, part="test")
        assert list(result["models"]) == ["text"]
        assert reason in result["baseline_missing"]


def test_no_label_in_common_is_an_error(trained_run: Path, drawn_catalogue: Path) -> None:
    with pytest.raises(CatalogError, match="has a label that the run knows"):
        evaluate_run(trained_run, CatalogSource(path=str(drawn_catalogue), label_column="text"))


def test_models_of_other_towers_are_read_apart_and_named_in_order(
    run_copy: Path, drawn_catalogue: Path, of_test_part: dict[str, Any]
) -> None:
    weights = load_file(run_copy / "early" / "model.safetensors")
    name = next(name for name in weights if name.startswith("image_encoder") and name.endswith("weight"))
    save_file({**weights, name: weights[name] * 1.5}, run_copy / "early" / "model.safetensors")
    groups = load_groups(run_copy, ["image", "text", "early", "intermediate", "late"])
    # The text model finds its tower in either group.
    assert [list(group.settings) for group in groups] == [["early", "text"], ["intermediate", "late", "image"]]
    other = evaluate_run(run_copy, CatalogSource(path=str(drawn_catalogue)), part="test")["models"]
    own = of_test_part["models"]
    assert list(other) == list(own)
    assert [name for name in own if own[name] != other[name]] == ["early"]


def test_a_broken_split_and_a_folder_as_output_are_sentences(
    trained_run: Path, drawn_catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained_run / "run.json", tmp_path)
    assert main(["evaluate", str(tmp_path), "--data", str(drawn_catalogue)]) == 1
    assert "split.csv cannot be read" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), "--data", str(drawn_catalogue), "--out", str(tmp_path)]) == 1
    assert "metrics.json" in capsys.readouterr().err


def test_a_wrong_column_is_a_sentence(
    trained_run: Path, drawn_catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained_run), "--data", str(drawn_catalogue), "--target", "colour"]) == 1
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ") and "colour" in error and "label" in error
