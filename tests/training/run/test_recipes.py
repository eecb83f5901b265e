"""A recipe fills in what the command line leaves open, and only that."""

import dataclasses

import pytest

from training.__main__ import _parse
from training.run.options import OptionsError, TrainOptions
from training.run.recipes import RECIPES

FULL = ["train", "--data", "shop.csv", "--recipe", "full"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_options_and_goes_together(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(TrainOptions)}
    of_options = {name: value for name, value in RECIPES[name].items() if name in fields}
    assert set(RECIPES[name]) - set(of_options) <= {"report"}
    TrainOptions(source=None, out=None, **of_options)  # type: ignore[arg-type]


def test_what_is_given_wins_wherever_it_stands() -> None:
    before = _parse(["train", "--data", "shop.csv", "--text-epochs", "7", "--recipe", "full"])
    after = _parse([*FULL, "--text-epochs", "7"])
    assert before.text_epochs == after.text_epochs == 7
    assert before.cross_fit == RECIPES["full"]["cross_fit"] and before.split == "grouped"


def test_without_a_recipe_the_defaults_are_those_of_the_options() -> None:
    parsed = _parse(["train", "--data", "shop.csv"])
    for field in dataclasses.fields(TrainOptions):
        if field.name not in ("source", "out", "classes"):
            assert getattr(parsed, field.name) == field.default, field.name


def test_an_unknown_recipe_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parse(["train", "--data", "shop.csv", "--recipe", "best"])
    assert "'quick'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_epochs": 3, "image_sizes": (96, 128)}, "each of 3 epochs"),
        ({"cross_fit": 1}, "cross_fit must be 0 or at least 2"),
        ({"thin_titles": 1.5}, "thin_titles must be in"),
        ({"models": ("early", "best")}, r"unknown models \['best'\]"),
    ],
)
def test_choices_that_cannot_be_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        TrainOptions(source=None, out=None, **changes)  # type: ignore[arg-type]
