"""Read of a Markdown page what can be tested: command blocks with the output shown below them, headings, links.

A comment in the line above a command block tells the test what to do with it: ``<!-- test: skip: REASON -->``.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(```+)(\w*)$")
_SKIP = re.compile(r"<!-- test: skip: (?P<reason>.+) -->")
_LINK = re.compile(r"!?\[[^]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Args:
        page: file that it stands in.
        line: of its opening fence, counted from 1.
        language: behind that fence, or "".
        text: its lines.
        directive: the line above the fence.
        output: a ``text`` block that follows a command block, if nothing but a paragraph of prose is between them.
    """

    page: Path
    line: int
    language: str
    text: str
    directive: str
    output: str = ""

    @property
    def skipped(self) -> str:
        """Why its commands are not run, or ""."""
        found = _SKIP.search(self.directive)
        return found["reason"] if found else ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def all_pages() -> list[Path]:
    """README, changelog and everything in ``docs/``."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    at = 0
    while at < len(lines):
        if opened := _FENCE.match(lines[at]):
            end = next(line for line in range(at + 1, len(lines)) if lines[line] == opened[1])
            found.append(
                Block(
                    page=page,
                    line=at + 1,
                    language=opened[2],
                    text="\n".join(lines[at + 1 : end]),
                    directive=lines[at - 1] if at else "",
                )
            )
            at = end
        at += 1
    return found


def command_blocks(page: Path) -> list[Block]:
    """The ``bash`` blocks of a page, each with the output shown below it."""
    every = blocks(page)
    following: list[Block | None] = [*every[1:], None][: len(every)]
    return [
        dataclasses.replace(block, output=after.text) if after is not None and after.language == "text" else block
        for block, after in zip(every, following, strict=True)
        if block.language == "bash"
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks and HTML comments; their lines are empty, so that line numbers stay."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block in blocks(page):
        for line in range(block.line - 1, block.line + len(block.text.splitlines()) + 1):
            lines[line] = ""
    return re.sub(r"<!--.*?-->", "", "\n".join(lines))


def links(page: Path) -> Iterator[str]:
    """Targets of a page's links and pictures."""
    return (found["target"] for found in _LINK.finditer(prose(page)))


def anchors(page: Path) -> set[str]:
    """Fragments that links into a page may have, made of its headings as GitHub makes them."""
    headings = (found["text"] for line in prose(page).splitlines() if (found := _HEADING.match(line)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
