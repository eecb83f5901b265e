"""The command line: what a person types, and the sentences that come back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training import commands
from training.__main__ import main


@pytest.mark.long
def test_folds_end_with_mean_and_spread(
    drawn_catalogue: Path,
    tiny_bert: Path,
    tmp_path: Path,
    read_json: Callable[[Path], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["train", "--data", str(drawn_catalogue), "--out", str(tmp_path), "--folds", "2"]
    arguments += ["--image-encoder", "small", "--text-encoder", str(tiny_bert), "--image-size", "32"]
    arguments += ["--image-epochs", "0", "--text-epochs", "0", "--head-epochs", "1"]
    assert main(arguments) == 0
    assert f"report: {tmp_path}" in capsys.readouterr().out
    assert read_json(tmp_path / "report.json")["models"]["early"]["accuracy"]["std"] is not None


@pytest.mark.slow
def test_one_command_from_the_catalogue_to_the_report(
    drawn_catalogue: Path,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["train", "--data", str(drawn_catalogue), "--out", str(tmp_path), "--report"]
    arguments += ["--image-encoder", "small", "--text-encoder", str(tiny_bert), "--image-size", "32"]
    arguments += ["--image-epochs", "0", "--text-epochs", "0", "--head-epochs", "1", "--models", "image", "text"]
    assert main(arguments) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "words masked" in page and "robustness.json" in capsys.readouterr().out
    monkeypatch.setattr(commands, "evaluate_run", None)
    assert main(arguments) == 0, "what is there is not measured again"


def test_a_catalogue_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", str(tmp_path / "none.csv"), "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "none.csv" in error


def test_weights_that_are_not_there_list_the_choices(
    drawn_catalogue: Path, tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--data", str(drawn_catalogue), "--out", str(tmp_path / "run")]
    arguments += ["--image-weights", "nowhere.pth", "--text-encoder", str(tiny_bert)]
    assert main(arguments) == 1
    assert "--image-encoder efficientnet_lite0" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "train_run", interrupted)
    assert main(["train", "--data", "x.csv", "--out", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_the_sample_is_written_where_asked(tmp_path: Path) -> None:
    assert main(["sample", "--out", str(tmp_path / "shop"), "--per-class", "1"]) == 0
    assert (tmp_path / "shop" / "products.csv").is_file()
