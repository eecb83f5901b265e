"""Recipes: sets of options as TOML files that users can copy and edit; see ``training/run/recipes``.

The command line wins over the recipe, and the recipe over the defaults.
"""

import tomllib
from pathlib import Path
from typing import Any

from training.run.option_table import Option, OptionsError
from training.run.options import TRAIN_OPTIONS

FOLDER = Path(__file__).parent / "recipes"
KEYS: dict[str, Option] = {name: each for name, each in TRAIN_OPTIONS.items() if name != "recipe"}


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(name: str) -> dict[str, Any]:
    """The values of a recipe by option.

    Args:
        name: name of a recipe of the package, or path of a TOML file.

    Raises:
        OptionsError: the recipe does not exist, or has an unknown key or a wrong value; the message names the file.
    """
    path = FOLDER / f"{name}.toml" if name in recipe_names() else Path(name)
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
        return {key: _option(key).from_toml(value) for key, value in written.items()}
    except OSError as error:
        known = ", ".join(recipe_names())
        raise OptionsError(f"unknown recipe {name!r}: it is neither a file nor one of {known}") from error
    except ValueError as error:  # of TOML, of UTF-8, or of an option
        raise OptionsError(f"{path}: {error}") from error


def _option(key: str) -> Option:
    if key not in KEYS:
        raise OptionsError(f"unknown key {key!r}; known are {', '.join(KEYS)}")
    return KEYS[key]
