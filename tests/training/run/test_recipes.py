"""A recipe is a file that fills in what the command line leaves open, and only that."""

import re
import tomllib
from pathlib import Path

import pytest

from training.__main__ import _parse
from training.run.option_parser import FOLDER, KEYS, read_recipe, recipe_names
from training.run.option_table import OptionsError
from training.run.options import TRAIN_OPTIONS

DATA = ["train", "--data", "shop.csv"]


def written(tmp_path: Path, text: str) -> str:
    """The path of a recipe of one's own."""
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_recipes_that_come_along_go_together() -> None:
    assert recipe_names() == ["full", "medium", "quick"]
    assert read_recipe("quick") == {} and read_recipe("full")["cross_fit"] == read_recipe("medium")["cross_fit"] == 2


def test_the_defaults_that_the_quick_recipe_shows_are_the_defaults() -> None:
    text = (FOLDER / "quick.toml").read_text(encoding="utf-8")
    shown = tomllib.loads("\n".join(re.findall(r"^# (\w+ = .*)$", text, flags=re.MULTILINE)))
    assert len(shown) > 5
    assert {key: KEYS[key].from_toml(value) for key, value in shown.items()} == {
        key: KEYS[key].default for key in shown
    }


def test_what_is_typed_wins_over_the_recipe_and_the_recipe_over_the_default() -> None:
    before = _parse([*DATA, "--text-epochs", "7", "--recipe", "full"])
    after = _parse([*DATA, "--recipe=full", "--text-epochs", "7", "--no-report", "--image-sizes"])
    assert before.text_epochs == after.text_epochs == 7
    assert before.split == "grouped" and before.report and not after.report and after.image_sizes == ()
    assert before.head_epochs == TRAIN_OPTIONS["head_epochs"].default


def test_without_a_recipe_everything_is_at_its_default() -> None:
    parsed = vars(_parse(DATA))
    assert {name: parsed[name] for name in TRAIN_OPTIONS} == {
        name: "shop.csv" if name == "data" else each.default for name, each in TRAIN_OPTIONS.items()
    }


def test_a_recipe_of_ones_own_may_name_the_catalogue(tmp_path: Path) -> None:
    path = written(tmp_path, 'data = "a.csv"\ntext_rate = 1\ncorrections = "c.csv"\nattribute_weights = {gender = 2}')
    parsed = _parse(["train", "--recipe", path])
    assert parsed.data == "a.csv" and parsed.corrections == Path("c.csv")
    assert isinstance(parsed.text_rate, float) and parsed.attribute_weights == (("gender", 2.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_edge = 64", r"unknown key 'image_edge'; known are data, .*image_size"),
        ('recipe = "full"', "unknown key 'recipe'"),
        ('image_size = "64"', "image_size must be a whole number, got '64'"),
        ("text_epochs = true", "text_epochs must be a whole number, got True"),
        ("report = 1", "report must be true or false, got 1"),
        ('models = "image"', "models must be a list, got 'image'"),
        ('models = ["best"]', "models must be one of image, .*got 'best'"),
        ("damage_titles = 1.5", r"damage_titles must be in \[0, 1\], got 1.5"),
        ("damage_titles = nan", "damage_titles must be in"),
        ("attribute_weights = [0.5]", "attribute_weights must be a table"),
        ("image_size 64", "line 1"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OptionsError, match=f"my.toml: .*{message}"):
        read_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*DATA, "--recipe", "best"], "'best': it is neither a file nor one of full, medium, quick"),
        ([*DATA, "--recipe", "."], "'.': it is neither a file"),
        (["train"], "required: --data"),
        ([*DATA, "--rec", "full"], "unrecognized arguments: --rec full"),
    ],
)
def test_what_cannot_be_understood_is_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _parse(arguments)
    assert message in capsys.readouterr().err
