"""All that the documentation names exists: files, headings, options, make targets, error codes.

Its style is checked too, as far as a pattern can tell.
"""

import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from doc_pages import ROOT, all_pages, anchors, blocks, links, prose

from handlers.product_serving.errors import ERROR_CODES

PAGES = [page for page in all_pages() if page.name != "CHANGELOG.md"]
MOST_WORDS_OF_README = 1000
# Folders whose files only a run, an export or a test makes.
MADE = (".torchserve/", "runs/", "model_store/", "logs/", "build/", "shop/", "new/", "scores/", "audit/")
PROGRAMS = ("training", "export", "client", "benchmarks.server")
HTTP_API = ROOT / "docs" / "reference" / "http-api.md"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_of(page: Path) -> Iterator[str]:
    """Lines of command blocks, continued lines joined, and inline code."""
    for block in blocks(page):
        if block.language == "bash":
            yield from re.sub(r"\\\n\s*", "", block.text).splitlines()
    yield from re.findall(r"`([^`\n]+)`", prose(page))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in links(page):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    top = {entry.name for entry in ROOT.iterdir() if entry.is_dir()} - {".venv"}
    named = {word for code in code_of(page) for word in re.findall(r"(?<![\w./-])[\w.-]+/[\w./*{},-]*", code)}
    missing = [
        name
        for name in sorted(named)
        if name.split("/")[0] in top and not name.startswith(MADE) and not any(map(exists, expanded(name.rstrip(".,"))))
    ]
    assert not missing


def exists(name: str) -> bool:
    return any(ROOT.glob(name.rstrip("/")))


def expanded(name: str) -> list[str]:
    """A name with ``{a,b}`` is several."""
    found = re.search(r"\{([^}]*)\}", name)
    if found is None:
        return [name]
    return [each for part in found[1].split(",") for each in expanded(name.replace(found[0], part, 1))]


@every_page
def test_options_that_are_named_exist(page: Path) -> None:
    unknown = []
    for code in code_of(page):
        if command := re.search(r"python -m ([\w.]+)(.*)", code):
            program, rest = command.groups()
            options = options_of(program, subcommand(program, rest)) if program in PROGRAMS else None
        else:
            rest, options = code, every_option() if code.startswith("--") else None
        if options is not None:
            unknown += [
                f"{code}: {option}"
                for option in re.findall(r"(?<=\s)--[a-z][\w-]*", f" {rest}")
                if option not in options
            ]
    assert not unknown


def subcommand(program: str, rest: str) -> str:
    words = words_of(rest)
    return words[0] if program in ("training", "client") and words and re.fullmatch("[a-z]+", words[0]) else ""


def words_of(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


@cache
def options_of(program: str, command: str) -> frozenset[str]:
    """Options of a program's command, as its help says."""
    module = importlib.import_module(f"{program}.__main__")
    asked = [[*([command] if command else []), flag] for flag in ("--help", "--help-all")]
    return frozenset(re.findall(r"--[a-z][\w-]*", "".join(map(lambda words: help_of(module.main, words), asked)))) | {
        "--help",
        "--help-all",
    }


def help_of(main: "object", words: Sequence[str]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        main(words)  # type: ignore[operator]
    return said.getvalue()


@cache
def every_option() -> frozenset[str]:
    """Options of all commands."""
    of_client = help_of(importlib.import_module("client.__main__").main, ["--help"])
    commands = {
        "training": ("sample", "fetch", "train", "evaluate", "report"),
        "client": ("", *re.findall(r"^ {4}([a-z]+) ", of_client, re.M)),
        "export": ("",),
        "benchmarks.server": ("",),
    }
    return frozenset().union(*(options_of(program, each) for program, names in commands.items() for each in names))


@every_page
def test_make_targets_and_variables_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M))
    variables = set(re.findall(r"^([A-Z_]+)\s*\??:?=", makefile, re.M)) | set(re.findall(r"\$\(([A-Z_]+)\)", makefile))
    unknown = []
    for code in code_of(page):
        if command := re.match(r"(?:\w+=\S+ )*make(?= |$)(.*)", code.strip()):
            words = words_of(command[1].strip("[]"))
            unknown += [word for word in words if re.fullmatch("[a-z][a-z-]+", word) and word not in targets]
            unknown += [word for word in words if (name := re.match("([A-Z_]+)=", word)) and name[1] not in variables]
    assert not unknown


def test_page_of_the_api_names_every_error_with_its_status() -> None:
    nginx = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    of_proxy = re.search(r"map \$status \$error_type \{(.*?)\}", nginx, re.S)
    assert of_proxy is not None
    known = set(ERROR_CODES) | set(re.findall(r"\d{3} (\w+);", of_proxy[1]))
    named = {
        (kind, int(status))
        for row in re.findall(r"^\| *(\d{3}[^|]*)\|([^|]*)\|", HTTP_API.read_text(encoding="utf-8"), re.M)
        for kind in re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", row[1])
        for status in re.findall(r"\d{3}", row[0])
    }
    assert {kind for kind, _ in named} >= set(ERROR_CODES)
    assert {(kind, status) for kind, status in named if kind in ERROR_CODES} == set(ERROR_CODES.items())
    assert {kind for kind, _ in named} <= known


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS_OF_README


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_prose_is_written_as_agreed(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", prose(page))
    faults = {
        "0.3, not .3": r"(?<![\w.…])\.\d",
        "no sentence begins with What": r"(?:^#* *|[.!?] )What ",
        "the default version, not in charge": r"\bin charge\b",
    }
    found = [
        f"{number}: {line.strip()} ({rule})"
        for number, line in enumerate(text.splitlines(), 1)
        for rule, pattern in faults.items()
        if re.search(pattern, line)
    ]
    assert not found
