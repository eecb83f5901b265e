"""The reference pages say what the code says: options, settings, engines, counters, configuration."""

import dataclasses
import re
from pathlib import Path

import pytest

from client.commands.arguments import ENGINE_HELP as SCORERS
from export.archive import worker_config
from handlers.product_serving.engines.table import ENGINES
from handlers.product_serving.metrics import COUNTERS, EXITS_OPEN, FRONT_END
from handlers.product_serving.settings import Attribute, Cascade, Hierarchy, OneModality, ProductSettings
from training.run.option_parser import options_markdown

DOCS = Path(__file__).parents[2] / "docs"
RENEW = "python -c 'from training.run.option_parser import options_markdown; print(options_markdown())'"


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def first_cells(text: str) -> set[str]:
    """Names in code in the first column of all tables."""
    cells = re.findall(r"^\| ?((?:`[^`]+`(?:, )?)+) ?\|", text, re.M)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def section(text: str, heading: str) -> str:
    """What stands between a heading and the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.M | re.S)
    assert found is not None
    return found[1]


def test_options_of_training_are_those_of_the_one_definition() -> None:
    shown = text_of("reference/command-line.md").split("<!-- options: begin -->")[1].split("<!-- options: end -->")[0]
    printed = options_markdown().replace("\\|small`", "`")  # the tests' own tower: tests/small_tower.py
    assert shown.strip() == printed.strip(), f"the table is what this prints: {RENEW}"


@pytest.mark.parametrize("kind", [ProductSettings, Attribute, Hierarchy, OneModality, Cascade])
def test_settings_has_every_field(kind: type) -> None:
    assert {field.name for field in dataclasses.fields(kind)} <= first_cells(text_of("reference/settings.md"))


def test_settings_has_no_other_field() -> None:
    kinds = (ProductSettings, Attribute, Hierarchy, OneModality, Cascade)
    fields = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    assert first_cells(text_of("reference/settings.md")) == fields


def test_defaults_of_settings_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", text_of("reference/settings.md"), re.M)
    stated = {name: float(value.replace(",", "")) for name, value in rows}
    defaults = {
        field.name: float(field.default)
        for kind in (ProductSettings, Attribute, Cascade)
        for field in dataclasses.fields(kind)
        if isinstance(field.default, int | float)
    }
    assert stated == {name: value for name, value in defaults.items() if name in stated}
    assert len(stated) >= 12


def test_engines_are_those_of_the_table() -> None:
    table = text_of("explanation/engines.md").split("## How one is chosen")[0]
    assert first_cells(table) == {row.name for row in ENGINES}


def test_metrics_are_those_of_the_handler() -> None:
    shown = first_cells(section(text_of("reference/metrics.md"), "Of the handler"))
    assert shown == {*COUNTERS, FRONT_END, EXITS_OPEN}


def test_counters_name_their_dimensions() -> None:
    rows = section(text_of("reference/metrics.md"), "Of the handler").splitlines()
    for name, dimensions in COUNTERS.items():
        row = next(row for row in rows if f"`{name}`" in row)
        assert tuple(re.findall(r"`(\w+)`", row.split("|")[2])) == dimensions


def test_every_key_of_the_configuration_is_explained() -> None:
    lines = (DOCS.parent / "config.properties").read_text(encoding="utf-8").splitlines()
    keys = {line.split("=")[0] for line in lines if line and not line.startswith("#")}
    assert keys == first_cells(section(text_of("reference/configuration.md"), "config.properties"))


def test_every_key_of_an_archives_configuration_is_explained() -> None:
    shown = section(text_of("reference/configuration.md"), "model-config.yaml")
    assert first_cells(shown) == set(worker_config(workers=2))
    for name, value in worker_config(workers=2).items():
        assert re.search(rf"`{name}`.*\| {value} \|", shown)


def test_scorers_are_those_of_the_client() -> None:
    row = re.search(r"^\| `--engine NAME` \| `server` \|(.*)\|$", text_of("reference/command-line.md"), re.M)
    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) - {"score"} == set(SCORERS)


def test_architecture_names_what_is_in_the_files_it_names() -> None:
    root, missing = DOCS.parent, []
    for row in section(text_of("architecture.md"), "Where to change what").splitlines():
        words = set(re.findall(r"`([^`]+)`", row))
        paths = [root / word for word in words if "/" in word or (root / word).is_file()]
        files = [file for path in paths for file in ([path] if path.is_file() else path.glob("*"))]
        code = "\n".join(file.read_text(encoding="utf-8") for file in files if file.suffix in (".py", ".properties"))
        missing += [name for name in words if re.fullmatch(r"[A-Za-z_]{4,}", name) and name not in code]
    assert not missing
