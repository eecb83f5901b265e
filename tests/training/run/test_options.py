"""An option is defined once: what the record, the help and the reference say comes from its field."""

import dataclasses
import re
from pathlib import Path

import pytest

from training.__main__ import _parser
from training.catalog.reading import CatalogSource
from training.run.option_parser import EXPERIMENT, options_markdown
from training.run.option_table import OptionsError
from training.run.options import TRAIN_OPTIONS, CommandOptions, TrainOptions

NOT_IN_THE_RECORD = {"out", "processes", "corrections", "attribute_weights"}


def help_of(flag: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What ``train`` prints, on one line."""
    with pytest.raises(SystemExit, match="0"):
        _parser().parse_args(["train", flag])
    return " ".join(capsys.readouterr().out.split())


def test_every_option_of_a_run_is_in_its_record(tmp_path: Path) -> None:
    options = TrainOptions(source=CatalogSource(path="shop.csv"), out=tmp_path)
    fields = {field.name for field in dataclasses.fields(TrainOptions)}
    assert set(options.as_dict()) == fields - NOT_IN_THE_RECORD
    assert fields - {"source", "out"} <= set(TRAIN_OPTIONS)


def test_the_help_shows_what_is_needed_first_and_help_all_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    short, whole = help_of("--help", capsys), help_of("--help-all", capsys)
    for each in TRAIN_OPTIONS.values():
        shown = re.compile(rf" {each.flag}[ ,]")
        assert shown.search(whole)
        assert bool(shown.search(short)) == each.first, each.name
    assert EXPERIMENT in whole and EXPERIMENT not in short


def test_the_reference_has_a_line_for_each_option() -> None:
    table = options_markdown()
    assert [line.count("`") > 1 for line in table.splitlines() if line.startswith("| `")] == [True] * len(TRAIN_OPTIONS)
    assert "| `--image-size N` | `224` |" in table and "stratified\\|grouped" in table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_epochs": 3, "image_sizes": (96, 128)}, "each of 3 epochs"),
        ({"cross_fit": 1}, "cross_fit must be 0 or at least 2, got 1"),
        ({"damage_titles": 1.5}, r"damage_titles must be in \[0, 1\]"),
        ({"train_share": 0.0}, r"train_share must be in \(0, 1\]"),
        ({"models": ("early", "best")}, "models must be one of .*, got 'best'"),
        ({"image_fit": "stretch"}, "image_fit must be one of pad, squash, got 'stretch'"),
        ({"attribute_weights": (("gender", 0.0),)}, "attribute_weights must be > 0, got .*gender"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
    ],
)
def test_choices_that_cannot_be_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        TrainOptions(source=None, out=None, **changes)  # type: ignore[arg-type]


def test_one_fold_is_none() -> None:
    with pytest.raises(OptionsError, match="folds must be 0 or at least 2, got 1"):
        CommandOptions(folds=1)
