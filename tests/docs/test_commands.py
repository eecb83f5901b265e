"""Every command of README, tutorial and how-to pages runs as printed, in order, and prints what the page shows.

The how-to pages begin where the tutorial ends, each in a copy of its folder.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from doc_pages import ROOT, command_blocks
from doc_shell import Desk, lay_out, missing_lines, run_blocks

TUTORIAL = ROOT / "docs" / "tutorial.md"
HOW_TO = sorted((ROOT / "docs" / "how-to").glob("*.md"))
# The demo's catalogue is smaller than a reader's, and one of its five models is archived.
SMALL_DEMO = {"DEMO_ARGS": "--per-class 12", "MODEL": "intermediate"}
PATIENCE = 1800.0


def type_page(page: Path, desk: Desk, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run the commands of a page, and compare what they print with what it shows."""
    blocks = [block for block in command_blocks(page) if not block.skipped]
    printed = run_blocks(desk, blocks, environment=environment, timeout=PATIENCE)
    wrong = [
        f"{block} does not print the line {line!r}, but:\n{text[-2000:]}"
        for block, text in zip(blocks, printed, strict=True)
        for line in missing_lines(block.output, text)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.docs
@pytest.mark.server
@pytest.mark.timeout(PATIENCE)
def test_readme_runs_as_printed(tmp_path: Path) -> None:
    type_page(ROOT / "README.md", lay_out(tmp_path), SMALL_DEMO)


@pytest.fixture(scope="module")
def after_tutorial(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The folder of a reader who has come to the tutorial's end."""
    desk = lay_out(tmp_path_factory.mktemp("tutorial"))
    type_page(TUTORIAL, desk)
    return desk


@pytest.mark.docs
@pytest.mark.timeout(PATIENCE)
def test_tutorial_runs_as_printed(after_tutorial: Desk) -> None:
    assert list((after_tutorial.folder / "model_store").glob("*.mar"))


@pytest.mark.docs
@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_how_to_page_runs_as_printed(page: Path, after_tutorial: Desk, tmp_path: Path) -> None:
    type_page(page, after_tutorial.again(tmp_path))
