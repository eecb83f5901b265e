"""The options as command-line flags, as keys of recipes, and as Markdown for the reference.

Recipes are sets of options as TOML files that users can copy and edit; see ``training/run/recipes``. The command line
wins over the recipe, and the recipe over the defaults.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from training.run.option_table import NamedWeight, Option, OptionsError
from training.run.options import TRAIN_OPTIONS

FOLDER = Path(__file__).parent / "recipes"
KEYS: dict[str, Option] = {name: each for name, each in TRAIN_OPTIONS.items() if name != "recipe"}
EXPERIMENT = "[experiment]"
_METAVARS = {int: "N", float: "X", str: "NAME", Path: "FILE"}


class _ShortHelp(argparse.Action):
    """Print the help for the options that users need first."""

    def __init__(self, *, further: Sequence[argparse.Action], **arguments: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, **arguments)
        self.further = further

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        for action in self.further:
            action.help = argparse.SUPPRESS
        parser.print_help()
        parser.exit()


def add_options(parser: argparse.ArgumentParser, options: Mapping[str, Option]) -> list[argparse.Action]:
    """Add a flag for each option. The namespace lacks options that were not typed; :func:`completed` adds them.

    Returns:
        The flags that only ``--help-all`` shows.
    """
    groups = {name: parser.add_argument_group(name) for name in dict.fromkeys(each.group for each in options.values())}
    further = []
    for each in options.values():
        action = groups[each.group].add_argument(
            each.flag, *each.aliases, dest=each.name, default=argparse.SUPPRESS, help=_help(each), **_reading(each)
        )
        if not each.first:
            further.append(action)
    return further


def add_helps(parser: argparse.ArgumentParser, further: Sequence[argparse.Action]) -> None:
    """Add ``--help``, which leaves out the ``further`` flags, and ``--help-all`` to a parser without its own help."""
    parser.add_argument("-h", "--help", action=_ShortHelp, further=further, help="show what is needed first and exit")
    parser.add_argument("--help-all", action="help", help="show all options and exit")


def completed(
    typed: argparse.Namespace, options: Mapping[str, Option], *, recipe: Mapping[str, Any] | None = None
) -> argparse.Namespace:
    """All options: the typed value, or else the recipe's, or else the default.

    Raises:
        OptionsError: a required option is neither typed nor in the recipe.
    """
    defaults = {name: each.default for name, each in options.items() if not each.required}
    values = {**defaults, **(recipe or {}), **vars(typed)}
    if missing := [each.flag for name, each in options.items() if name not in values]:
        raise OptionsError(f"the following arguments are required: {', '.join(missing)}")
    return argparse.Namespace(**values)


def options_markdown() -> str:
    """The options of ``training train`` as Markdown, a table for each group, for the reference."""
    return "\n".join(
        f"### {group[0].upper()}{group[1:]}\n\n| option | default | meaning |\n|---|---|---|\n"
        + "\n".join(_row(each) for each in options)
        + "\n"
        for group, options in groupby(
            sorted(TRAIN_OPTIONS.values(), key=lambda each: _GROUPS.index(each.group)), key=lambda each: each.group
        )
    )


_GROUPS = list(dict.fromkeys(each.group for each in TRAIN_OPTIONS.values()))


def _row(each: Option) -> str:
    metavar = _reading(each).get("metavar") or "\\|".join(each.choices)
    default = f"`{each.shown_default}`" if each.shown_default and not each.default_words else each.shown_default
    meaning = _meaning(each).replace("|", "\\|")
    return f"| `{each.flag}{f' {metavar}' if metavar else ''}` | {default} | {meaning} |"


def _meaning(each: Option) -> str:
    listed = f": {', '.join(each.choices)}" if each.many and each.choices else ""
    return f"{f'{EXPERIMENT} ' if each.experiment else ''}{each.help}{listed}"


def _help(each: Option) -> str:
    default = f" (default: {each.shown_default})" if each.shown_default else ""
    return f"{_meaning(each)}{default}".replace("%", "%%")


def _reading(each: Option) -> dict[str, Any]:
    """Arguments of ``add_argument`` that make argparse read the option."""
    if each.item is bool:
        return {"action": argparse.BooleanOptionalAction}
    how: dict[str, Any] = {"type": _named_weight if each.item == NamedWeight else each.item}
    if each.choices:
        how["choices"] = each.choices
    if each.many:
        how |= {"nargs": "+" if each.default else "*", "action": _Several}
    if each.many or not each.choices:
        how["metavar"] = each.metavar or _METAVARS[each.item]
    return how


class _Several(argparse.Action):
    """Store several values as a tuple."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        setattr(namespace, self.dest, tuple(values))


def _named_weight(text: str) -> NamedWeight:
    name, _, weight = text.rpartition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=WEIGHT, got {text!r}") from None


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
