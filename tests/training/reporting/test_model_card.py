"""The model card says what the run's files say, and that the rest was not measured."""

import json
from pathlib import Path

import pytest
from written_run import write_catalogue, write_run

from training.run.checkpoint import RunError
from training.run.model_card import CARD, model_card

SETS = {"products": 12.0, "coverage": 0.951, "size": 1.25, "single": 0.8}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    catalogue = write_catalogue(tmp_path / "shop", products=30)
    metrics = {
        "late": {"label": {"accuracy": 0.875, "macro_f1": 0.5, "ece": 0.031, "brier": 0.2}},
        "baseline": {"label": {"accuracy": 0.75, "macro_f1": 0.4}},
    }
    folder = write_run(tmp_path / "run", catalogue, wrong={"late": [1, 4]}, metrics=metrics)
    (folder / "late" / "sets.json").write_text(json.dumps({"coverage": 0.95, "states": {"both": SETS}}))
    conflict = {"threshold": -3.0, "pairs": 12, "false_alarms": 0.016, "flagged": 0.9, "flagged_classes": 0.95}
    (folder / "late" / "conflict.json").write_text(json.dumps(conflict))
    return folder


def test_numbers_are_those_of_the_run(run: Path) -> None:
    card = model_card(run, "late")
    assert card.startswith("# Model card: late, label\n")
    assert "| label     | late                |       87.5 |       50.0 |" in card
    assert "| label     | TF-IDF + linear SVM |       75.0 |" in card
    assert "products.csv, 31 rows read, 30 used, 1 rejected" in card and str(run.parent) not in card
    assert "calibration error on the test part: 0.031, Brier score 0.200" in card
    assert "90.0 % are flagged, and 1.6 % of the true pairs (12 test products)" in card
    assert (
        "| picture and title |          – |          – |              – |                  95.1 |             1.25 |"
        in card
    )


def test_what_was_not_measured_is_said_to_be_so(run: Path) -> None:
    assert "Damaged pictures and titles were not measured" in model_card(run, "late")
    (run / "late" / "sets.json").unlink()
    (run / "late" / "conflict.json").unlink()
    card = model_card(run, "late")
    assert "Not measured: `python -m training evaluate RUN --part test --robustness`" in card
    assert "are flagged" not in card


def test_measured_states_and_damage_are_in_it(run: Path) -> None:
    alone = {"accuracy": 0.625, "macro_f1": 0.25, "needs_review": 0.125}
    late = {"accuracy": 0.875, "modalities": {"both": None, "image": alone, "text": None}}
    conditions = [
        {"kind": "clean", "name": "clean", "models": {"late": {"accuracy": 0.1}}},
        {"kind": "title missing", "name": "title missing, 100 %", "models": {"late": {"accuracy": 0.625}}},
    ]
    (run / "robustness.json").write_text(json.dumps({"models": {"late": late}, "conditions": conditions}))
    card = model_card(run, "late")
    assert "| picture alone     |       62.5 |       25.0 |           12.5 |" in card
    assert "Lowest accuracy of 1 kinds of missing and damaged titles and pictures: title missing, 100 %: 62.5 %" in card


def test_labels_stay_text(tmp_path: Path) -> None:
    label = "<b>*Bags*</b>|x"
    catalogue = write_catalogue(tmp_path / "shop", products=60)
    catalogue.write_text(catalogue.read_text(encoding="utf-8").replace("Bags", label), encoding="utf-8")
    run = write_run(tmp_path / "run", catalogue, labels=(label, "Shirts", "Shoes"), target="<i>kind</i>")
    card = model_card(run, "late")
    assert "<i>" not in card.replace("\\<", "") and "3 of 3 classes have fewer than 10 test products" in card


def test_a_damaged_file_is_named(run: Path) -> None:
    (run / "late" / "sets.json").write_text("{")
    with pytest.raises(RunError, match=r"sets\.json"):
        model_card(run, "late")


def test_an_archive_of_a_real_run_has_its_card(trained_run: Path) -> None:
    card = model_card(trained_run, "late")
    assert "Temperature" in card and "picture and title" in card and CARD.endswith(".md")
