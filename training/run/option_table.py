"""Options as fields of a dataclass. Each field is the only definition of its type, default, help, group and limits.

:func:`options_of` gives them to the command line and the recipes (:mod:`training.run.option_parser`), and to the record
of a run.
"""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

NamedWeight = tuple[str, float]

_ACCEPTED: dict[Any, tuple[type | tuple[type, ...], str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
    Path: (str, "a path"),
}


class OptionsError(ValueError):
    """An option with a wrong value, or options that contradict each other."""


class Limit(NamedTuple):
    """The numbers that an option accepts, in words and as a test."""

    words: str
    holds: Callable[[float], bool]


COUNT = Limit("0 or more", lambda value: value >= 0)
AT_LEAST_ONE = Limit("1 or more", lambda value: value >= 1)
POSITIVE = Limit("> 0", lambda value: value > 0)
SHARE = Limit("in [0, 1]", lambda value: 0 <= value <= 1)
POSITIVE_SHARE = Limit("in (0, 1]", lambda value: 0 < value <= 1)
ZERO_OR_SEVERAL = Limit("0 or at least 2", lambda value: value == 0 or value >= 2)


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of the user.

    Args:
        help: a description without a full stop.
        group: heading in the help.
        first: True if users need it first; ``--help`` shows these options, ``--help-all`` shows all.
        experiment: True if it is useful for experiments only.
        choices: the accepted values; empty for all.
        limit: the accepted numbers; None for all.
        default_words: description of a default that differs between machines.
        metavar: name of a value in the help.
        aliases: further flags.
        name: name of the field and the recipe's key; with dashes, of the flag.
        default: the default; MISSING if the option is required.
        item: type of a value.
        many: True if the option takes several values.
    """

    help: str
    group: str
    first: bool = False
    experiment: bool = False
    choices: Collection[str] = ()
    limit: Limit | None = None
    default_words: str = ""
    metavar: str = ""
    aliases: tuple[str, ...] = ()
    name: str = ""
    default: Any = None
    item: Any = None
    many: bool = False

    @property
    def flag(self) -> str:
        """The flag on the command line, such as ``--image-size``."""
        return "--" + self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        """True if the option has no default."""
        return self.default is dataclasses.MISSING

    @property
    def shown_default(self) -> str:
        """The default as typed on the command line; "" for None, False or an empty tuple."""
        if self.default_words or self.required or self.default is None or self.default is False or self.default == ():
            return self.default_words
        return " ".join(map(str, self.default)) if self.many else str(self.default)

    def check(self, value: Any) -> None:
        """Check that a value is in range.

        Raises:
            OptionsError: it is not; the message names the option and the accepted values.
        """
        for each in value if self.many else () if value is None else (value,):
            if self.choices and each not in self.choices:
                raise OptionsError(f"{self.name} must be one of {', '.join(self.choices)}, got {each!r}")
            number = each[1] if self.item == NamedWeight else each
            if self.limit and not self.limit.holds(number):
                raise OptionsError(f"{self.name} must be {self.limit.words}, got {each}")

    def from_toml(self, value: object) -> Any:
        """Convert a recipe's value to the field's type.

        Raises:
            OptionsError: the value has another type or is out of range; the message names the option.
        """
        if self.item == NamedWeight:
            entries = self._typed(value, dict, "a table such as {gender = 0.5}").items()
            found: Any = tuple((name, self._one(weight, float)) for name, weight in entries)
        elif self.many:
            found = tuple(self._one(each, self.item) for each in self._typed(value, list, "a list"))
        else:
            found = self._one(value, self.item)
        self.check(found)
        return found

    def _one(self, value: object, item: Any) -> Any:
        accepted, words = _ACCEPTED[item]
        if isinstance(value, bool) and item is not bool:
            accepted = ()
        return item(self._typed(value, accepted, words))

    def _typed(self, value: object, accepted: type | tuple[type, ...], words: str) -> Any:
        if not isinstance(value, accepted):
            raise OptionsError(f"{self.name} must be {words}, got {value!r}")
        return value


def option(default: Any, help: str, group: str, **about: Any) -> Any:
    """A dataclass field that is an option; see :class:`Option`. A callable ``default`` computes the default."""
    how = {"default_factory": default} if callable(default) else {"default": default}
    return dataclasses.field(**how, metadata={"option": Option(help, group, **about)})


def options_of(owner: type) -> dict[str, Option]:
    """The options among a dataclass's fields, by name, in order."""
    hints = get_type_hints(owner)
    return {
        field.name: dataclasses.replace(
            field.metadata["option"], name=field.name, default=_default(field), **_kind(hints[field.name])
        )
        for field in dataclasses.fields(owner)
        if "option" in field.metadata
    }


def check_options(values: Any) -> None:
    """Check that all options of a dataclass are in range.

    Raises:
        OptionsError: as :meth:`Option.check`.
    """
    for name, each in options_of(type(values)).items():
        each.check(getattr(values, name))


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _kind(hint: Any) -> dict[str, Any]:
    """``item`` and ``many`` from an annotation such as ``int``, ``int | None`` or ``tuple[int, ...]``."""
    item, *_ = get_args(hint) or (hint,)
    return {"item": item, "many": get_origin(hint) is tuple}
