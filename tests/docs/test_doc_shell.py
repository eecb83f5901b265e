"""The test of commands would notice: a command that fails, a line that is not printed, a server that is left behind."""

import os
import time
from pathlib import Path

import pytest
from doc_pages import command_blocks
from doc_shell import Desk, missing_lines, run_blocks

PAGE = """\
# A page
<!-- test: skip: not today -->
```bash
false
```
Set it:
```bash
WORD=hello; cd /; cd - > /dev/null
```
Say it, on port 8080:
```bash
echo "$WORD 127.0.0.1:8080"; sleep 600 & echo $! > left.pid
```
```text
hello 127.0.0.1:…
```
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, {"8080": "9999"})


def blocks_of(folder: Path, text: str) -> list:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return [block for block in command_blocks(page) if not block.skipped]


def test_blocks_share_a_shell_and_leave_nothing_running(desk: Desk) -> None:
    blocks = blocks_of(desk.folder, PAGE)
    assert [block.line for block in blocks] == [7, 11]
    printed = run_blocks(desk, blocks, environment={}, timeout=60)
    assert printed == ["", "hello 127.0.0.1:9999\n"]
    assert not missing_lines(blocks[1].output, printed[1])
    process = int((desk.folder / "left.pid").read_text())
    deadline = time.monotonic() + 10
    while runs(process):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_failing_command_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doc_pages.ROOT", desk.folder)
    blocks = blocks_of(desk.folder, "```bash\necho fine\n```\n\n```bash\necho oh no; false\necho never\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:5 ended with status 1:\noh no\n$"):
        run_blocks(desk, blocks, environment={}, timeout=60)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("accuracy 0.98 on 90 products", "progress\raccuracy  0.7 on 1,200 products\n"),
        ("Shirts  98.2%\n…\nread text", "Shirts 7%\n  Shoes 3%\n  read text; answered"),
        ('{"score": 0.98…, "top": […]}', '{"score": 0.1234, "top": [1, 2]}'),
    ],
)
def test_output_may_differ_in_numbers_and_where_left_out(shown: str, printed: str) -> None:
    assert not missing_lines(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("accuracy 0.98", "macro-F1 0.98"),
        ("first\nsecond", "second\nfirst"),
        ("version 2.0 of it", "version two of it"),
    ],
)
def test_other_output_is_noticed(shown: str, printed: str) -> None:
    assert missing_lines(shown, printed)
