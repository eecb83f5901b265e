"""The whole loop, by the commands that people type.

A catalogue with 10 % wrong labels is trained on, audited, corrected, trained on again, compared, archived, switched to.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from live_server import running_server

from benchmarks.server.systems.torchserve_config import write_config
from client.__main__ import main as client
from client.api.inference import ProductClient
from export.__main__ import main as export
from training.__main__ import main as training
from training.catalog.drawn import write_sample_catalog
from training.data.label_noise import damage_labels

MODEL = "lexical"
LEAST_GAIN = 0.01  # of the accuracy on new products; three points here, December 2026
# Seconds each; the lexical tower reads the letters of the titles, and tells these classes well.
QUICK = {
    "image-encoder": "small",
    "image-size": "64",
    "image-epochs": "0",
    "text-epochs": "1",
    "lexical-epochs": "8",
    "head-epochs": "5",
    "fusion-epochs": "3",
    "batch-size": "16",
    "precision": "fp32",
    "cross-fit": "2",
}


@pytest.fixture
def right_labels(tmp_path: Path) -> list[str]:
    """The labels of ``shop/products.csv``, in its order; ``shop/flawed.csv`` has a tenth of them wrong."""
    catalogue = write_sample_catalog(tmp_path / "shop", per_class=40, seed=0, progress=False)
    with catalogue.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    right = [row["label"] for row in rows]
    flawed = damage_labels(right, share=0.1, seed=0).tolist()
    lines = [[row["image"], row["text"], label] for row, label in zip(rows, flawed, strict=True)]
    write(catalogue.with_name("flawed.csv"), ["image", "text", "label"], lines)
    return right


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def labels_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["label"] for row in csv.DictReader(file)]


def decided(findings: Path, right: Sequence[str], out: Path) -> int:
    """Write what a person decides who looks at every finding; returns the number of corrections."""
    with findings.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    looked = [(row, right[int(row["line"]) - 2]) for row in found]
    wrong = [[row["id"], row["column"], row["given"], label] for row, label in looked if label != row["given"]]
    write(out, ["id", "column", "given", "label"], wrong)
    return len(wrong)


def measured(run: Path, catalogue: Path) -> float:
    """The accuracy on products that nobody has mislabelled, and that no model has seen."""
    out = run.with_suffix(".json")
    assert training(["evaluate", str(run), "--data", str(catalogue), "--out", str(out)]) == 0
    return float(json.loads(out.read_text(encoding="utf-8"))["models"][MODEL]["accuracy"])


@pytest.mark.long
def test_corrections_come_back_into_the_served_model(
    tmp_path: Path, right_labels: list[str], tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flawed, corrections = tmp_path / "shop" / "flawed.csv", tmp_path / "corrections.csv"
    options = [text for name, value in QUICK.items() for text in (f"--{name}", value)]
    options += ["--models", "early", "late", "--text-encoder", str(tiny_bert)]
    train = ["train", "--data", str(flawed), *options, "--out"]
    old, new = tmp_path / "old", tmp_path / "new"

    assert training([*train, str(old)]) == 0
    assert client(["audit", "--run", str(old), "--out", str(tmp_path / "audit")]) == 0
    corrected = decided(tmp_path / "audit" / "findings.csv", right_labels, corrections)
    damaged = sum(map(str.__ne__, labels_of(flawed), right_labels))
    assert damaged == 40 and corrected > damaged / 2

    assert training([*train, str(new), "--corrections", str(corrections)]) == 0
    assert training(["report", str(new), "--against", str(old)]) == 0
    gain = json.loads((new / "report.json").read_text(encoding="utf-8"))["against"]
    assert gain["left_out"] == 0 and gain["relabelled"] > 0, "the same products, with other labels"
    accuracy = gain["models"][MODEL]["accuracy"]
    assert accuracy["mean"] > 0
    fresh = write_sample_catalog(tmp_path / "fresh", per_class=30, seed=2, progress=False)
    assert measured(new, fresh) - measured(old, fresh) > LEAST_GAIN

    mended = tmp_path / "shop" / "mended.csv"
    assert client(["audit", str(flawed), "--apply", str(corrections), "--out", str(mended)]) == 0
    assert sum(map(str.__ne__, labels_of(mended), right_labels)) == damaged - corrected

    stores = tmp_path / "model_store"
    for run, version in ((old, "1.0"), (new, "2.0")):
        exported = ["--run", str(run), "--model", MODEL, "--version", version, "--store", str(stores)]
        assert export([*exported, "--engine", "onnx", "--workers", "1"]) == 0
    capsys.readouterr()
    with running_server(write_config(tmp_path, store=stores, load_models=f"{MODEL}.mar")) as config:
        assert client(["--config", str(config.path), "switch", MODEL, "2.0"]) == 0
        assert f"set-default: {MODEL} 2.0 is the default version" in capsys.readouterr().out
        with ProductClient(config.inference_url, tokens=config.tokens()) as asked:
            assert asked.predict(text="Marlow Men Navy Sunglasses", model=MODEL).model["version"] == "2.0"
