"""All command lines: no option can be shortened into another one, and the help says nothing that is no help."""

import argparse
import importlib
import sys
from collections.abc import Iterator

import pytest
from test_architecture import ROOT, name_of, sources

PACKAGES = ("training", "export", "client", "benchmarks")
MAKES_A_PARSER = "argparse.ArgumentParser("
PROGRAMS = [
    path
    for path in sources(*PACKAGES)
    if path.name == "__main__.py" or MAKES_A_PARSER in path.read_text(encoding="utf-8")
]


class Caught(BaseException):
    """Carries the parser of a program out of it, before it does anything."""


def parser_of(module: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The parser that a program reads its arguments with."""

    def caught(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Caught(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", caught)
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(Caught) as found:
        importlib.import_module(module).main()
    parser = found.value.args[0]
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


def with_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands, and of theirs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from with_commands(command)


@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_options_are_typed_in_full_and_the_help_helps(path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)  # type: ignore[attr-defined]
    for parser in with_commands(parser_of(module, monkeypatch)):
        assert not parser.allow_abbrev, parser.prog
        text = parser.format_help()
        assert "None)" not in text and "()" not in text, parser.prog


def test_the_programs_are_found() -> None:
    commands = {f"{name}/__main__.py" for name in ("training", "export", "client", "benchmarks/server")}
    assert commands <= set(map(name_of, PROGRAMS))
