"""The report of a real run: every model in the table, figures that open, and a catalogue that may be gone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.__main__ import main
from training.checkpoint import RunError
from training.figures import MAX_CONFUSION_CLASSES, draw_confusion
from training.report import WHAT_IT_IS, write_report


@pytest.fixture
def own_run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a complete run, to be changed at will."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def test_a_report_shows_every_model_and_links_figures_that_open(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], read_json: Callable[[Path], Any]
) -> None:
    report = write_report([trained_run], out=tmp_path).read_text(encoding="utf-8")
    table = capsys.readouterr().out
    numbers = read_json(tmp_path / "report.json")
    for name in WHAT_IT_IS:
        accuracy = numbers["models"][name]["accuracy"]["mean"]
        row = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
        assert f"{accuracy:.3f}" in row and row in report
    figures = [part.split(")")[0] for part in report.split("](")[1:]]
    assert {"figures/predictions.png", "figures/confusion.png", "figures/attention-1.png"} <= set(figures)
    for figure in figures:
        with Image.open(tmp_path / figure) as picture:
            assert min(picture.size) > 100
    assert len(numbers["verdicts"]) == 15


def test_several_runs_show_their_spread(own_run: Path, trained_run: Path, read_json: Callable[[Path], Any]) -> None:
    record = read_json(own_run / "run.json")
    record["metrics"]["early"]["accuracy"] = record["metrics"]["early"]["accuracy"] - 0.2
    (own_run / "run.json").write_text(json.dumps(record))
    report = write_report([own_run, trained_run], out=own_run)
    early = read_json(own_run / "report.json")["models"]["early"]["accuracy"]
    assert early["std"] == pytest.approx(0.2 / 2**0.5)
    assert f"{early['mean']:.3f} ± 0.141" in report.read_text(encoding="utf-8")


def test_without_its_catalogue_a_report_says_so(own_run: Path, read_json: Callable[[Path], Any]) -> None:
    record = read_json(own_run / "run.json")
    record["source"]["path"] = "gone.csv"
    (own_run / "run.json").write_text(json.dumps(record))
    assert "No pictures of products" in write_report([own_run]).read_text(encoding="utf-8")


def test_an_incomplete_run_is_an_error(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_run / "run.json").unlink()
    with pytest.raises(RunError):
        write_report([own_run])
    assert main(["report", str(own_run)]) == 1
    assert "run.json" in capsys.readouterr().err


def test_many_classes_show_the_worst_confusions(tmp_path: Path) -> None:
    truth = np.arange(142)
    predicted = truth.copy()
    predicted[100] = 101
    draw_confusion(tmp_path / "many.png", truth, predicted, [f"class {number}" for number in truth])
    draw_confusion(tmp_path / "few.png", truth[:10], predicted[:10], [f"class {number}" for number in truth[:10]])
    with Image.open(tmp_path / "many.png") as many, Image.open(tmp_path / "few.png") as few:
        assert few.width < many.width < 110 * (4 + 0.34 * (MAX_CONFUSION_CLASSES + 5))
