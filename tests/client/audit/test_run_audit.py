"""An audit by what training runs have left: of a run written by hand, and of a trained one with damaged labels."""

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.__main__ import main
from client.api.errors import ClientError
from client.audit.finding_kinds import MODALITIES_DIFFER
from client.audit.run_answers import read_record, read_run_answers
from client.audit.sheet import FINDINGS, SHEET
from training.catalog import CatalogSource
from training.data.label_noise import damage_labels
from training.pipeline.training_run import train_run
from training.run.data import open_products
from training.run.options import TrainOptions
from training.run.record import VERSION

CLASSES = ("Bags", "Hats", "Shoes")
COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
PARTS = {"out_of_fold": range(12), "validation": range(12, 15), "test": range(15, 18)}


def write_run(folder: Path, *, labels: Mapping[int, str], said: Mapping[int, str], cross_fitted: bool = True) -> Path:
    """A run and its catalogue of 18 products, the classes in turn.

    Args:
        folder: of both.
        labels: of products that the catalogue labels otherwise.
        said: of products of which every model says something else.
    """
    names = [CLASSES[row % 3] for row in range(18)]
    given = [labels.get(row, name) for row, name in enumerate(names)]
    folder.mkdir()
    with (folder / "shop.csv").open("w", encoding="utf-8", newline="") as file:
        lines = [[f"p{row}", "", f"Title {row}", label] for row, label in enumerate(given)]
        csv.writer(file).writerows([["id", "image", "text", "kind"], *lines])
    run = folder / "run"
    for model in ("image", "text", "late"):
        (run / model).mkdir(parents=True)
        for part, rows in PARTS.items():
            if cross_fitted or part != "out_of_fold":
                _write_answers(run / model / f"{part}.npz", rows, given, {**dict(enumerate(names)), **said})
    source = {"path": str(folder / "shop.csv"), "id_column": "id"}
    attributes = {"kind": CLASSES}
    record = {
        "version": VERSION,
        "source": source,
        "attributes": attributes,
        "split": {"train": 12},
        "created": "2026-11-30",
    }
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return run


def _write_answers(path: Path, rows: range, given: list[str], said: Mapping[int, str]) -> None:
    probabilities = np.full((len(rows), 3), 0.05, dtype=np.float32)
    probabilities[np.arange(len(rows)), [CLASSES.index(said[row]) for row in rows]] = 0.9
    truth = np.array([[CLASSES.index(given[row])] for row in rows])
    np.savez(path, ids=np.array([f"p{row}" for row in rows]), truth=truth, probabilities=probabilities)


def findings(out: Path) -> dict[str, dict[str, str]]:
    with (out / FINDINGS).open(encoding="utf-8-sig", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_every_product_of_a_cross_fitted_run_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "shop", labels={4: "Shoes", 16: "Bags"}, said={7: "Bags"})
    assert main(["audit", "--run", str(run), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "had not seen the product: 12 training, 3 validation, 3 test" in said and "training products of" not in said
    found = findings(tmp_path / "out")
    assert {id: (row["given"], row["suggested"], row["line"], row["column"]) for id, row in found.items()} == {
        "p4": ("Shoes", "Hats", "6", "kind"),
        "p16": ("Bags", "Hats", "18", "kind"),
        "p7": ("Hats", "Bags", "9", "kind"),
    }
    assert found["p4"]["picture_label"] == "" and found["p4"]["title_label"] == "Hats", "it has no picture"
    assert "Title 4" in (tmp_path / "out" / SHEET).read_text(encoding="utf-8")


def test_a_run_that_was_not_cross_fitted_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "shop", labels={4: "Shoes", 16: "Bags"}, said={}, cross_fitted=False)
    assert main(["audit", "--run", str(run), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "product: 3 validation, 3 test" in said and "12 training products of" in said and "--cross-fit" in said
    assert set(findings(tmp_path / "out")) == {"p16"}


def test_answers_of_several_runs_are_averaged(tmp_path: Path) -> None:
    """Whose models disagree."""
    run = write_run(tmp_path / "shop", labels={}, said={})
    other = write_run(tmp_path / "other", labels={}, said={1: "Bags"})
    records = [read_record(each, path=str(tmp_path / "shop" / "shop.csv")) for each in (run, other)]
    answers, counts, changed = read_run_answers(records)
    assert counts == {"training": 24, "validation": 6, "test": 6} and changed == 0
    np.testing.assert_allclose(answers.probabilities["title"][1], [0.475, 0.475, 0.05], atol=1e-6)
    np.testing.assert_allclose(answers.probabilities["title"][0], [0.9, 0.05, 0.05], atol=1e-6)


def test_a_label_that_has_been_corrected_since_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "shop", labels={4: "Shoes", 16: "Bags"}, said={})
    catalogue = tmp_path / "shop" / "shop.csv"
    catalogue.write_text(catalogue.read_text(encoding="utf-8").replace("Title 4,Shoes", "Title 4,Hats"))
    assert main(["audit", "--run", str(run), "--out", str(tmp_path / "out")]) == 0
    assert "1 products were left out" in capsys.readouterr().out
    assert set(findings(tmp_path / "out")) == {"p16"}


def test_what_cannot_be_audited_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = write_run(tmp_path / "shop", labels={}, said={}), ["--out", str(tmp_path / "out")]
    other = write_run(tmp_path / "other", labels={}, said={})
    few = tmp_path / "few.csv"
    few.write_text("id,image,text,kind\np0,,Title 0,Bags\n", encoding="utf-8")
    for arguments, message in (
        ([], "name a CATALOG and its --labels, or a training run with --run"),
        (["--run", str(tmp_path)], f"{tmp_path} contains no complete run"),
        (["--run", str(run), "--labels", "colour"], "was trained on 'kind'; name a run that was trained on 'colour'"),
        (["--run", str(run), str(other)], "differ in catalogue or classes"),
        ([str(few), "--run", str(run)], "few.csv lacks 17 products"),
        ([str(tmp_path / "none.csv"), "--run", str(run)], "none.csv does not exist"),
    ):
        assert main(["audit", *arguments, *out]) == 1
        assert message in capsys.readouterr().err
    (run / "image" / "test.npz").write_bytes(b"torn")
    with pytest.raises(ClientError, match=r"test\.npz cannot be read"):
        read_run_answers([read_record(run)])


def test_a_run_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"target": "kind", "labels": ["a", "b"]}', encoding="utf-8")
    with pytest.raises(ClientError, match="earlier version of this package: train the run again"):
        read_record(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "shop", labels={4: "Shoes"}, said={})
    (tmp_path / "out").touch()
    assert main(["audit", "--run", str(run), "--out", str(tmp_path / "out")]) == 1
    assert "out cannot be made or read as a folder (File exists); choose another folder" in capsys.readouterr().err


def test_damaged_labels_are_found_and_can_be_corrected(options: Callable[..., TrainOptions], tmp_path: Path) -> None:
    """By models that have seen damaged labels themselves, in training, validation and test alike."""
    random = np.random.default_rng(0)
    right = [CLASSES[row % 3] for row in range(120)]
    damaged = damage_labels(right, share=0.1, seed=0).tolist()
    wrong = {row for row, (old, new) in enumerate(zip(right, damaged, strict=True)) if old != new}
    table = tmp_path / "damaged.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label"])
        for row, label in enumerate(damaged):
            shade = np.clip(COLOURS[row % 3] + random.normal(0, 15, 3), 0, 255).astype(int)
            Image.new("RGB", (32, 32), tuple(shade.tolist())).save(tmp_path / f"{row}.png")
            writer.writerow([f"{row}.png", f"{right[row]} {row}", label])
    easy: dict[str, object] = {"cross_fit": 2, "head_epochs": 20, "head_rate": 1e-2, "text_epochs": 0}
    easy |= {"models": ("early", "late"), "image_encoder": "efficientnet_lite0"}
    chosen = options(source=CatalogSource(path=str(table)), **easy)
    assert main(["audit", "--run", str(train_run(chosen)), "--out", str(tmp_path / "out")]) == 0
    found = [row for row in findings(tmp_path / "out").values() if row["kind"] != MODALITIES_DIFFER]
    hits = [row for row in found if int(row["line"]) - 2 in wrong]
    first = [row for row in found[: len(wrong)] if row in hits]
    assert len(first) / len(wrong) > 0.5 and len(hits) / len(wrong) > 0.6, "a tenth of the first by chance"
    corrections = tmp_path / "corrections.csv"
    with corrections.open("w", encoding="utf-8", newline="") as file:
        lines = [[row["id"], row["column"], row["given"], right[int(row["line"]) - 2]] for row in hits]
        csv.writer(file).writerows([["id", "column", "given", "label"], *lines])
    _, products = open_products(dataclasses.replace(chosen, corrections=corrections))
    assert sum(products["label"] != np.array(right)) == len(wrong) - len(hits)
