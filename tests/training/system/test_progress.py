"""Progress in a terminal and in a file."""

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from training.system import progress as module
from training.system.progress import Bar, LineAMinute, note, progress

ROOT = Path(__file__).parents[3]


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_file_gets_a_line_a_minute_and_one_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar: Bar[Any]
    with progress(total=330, description="titles", unit="batch") as bar:
        for _ in range(330):
            clock.now += 1
            bar.update()
            bar.refresh()
    printed = capsys.readouterr().err
    lines = printed.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"titles: {done} of 330" for done in (60, 120, 180, 240, 300, 330)
    ]
    assert "\r" not in printed and "18 %" in lines[0] and "so far" in lines[0] and "to go" in lines[0]
    assert "to go" not in lines[-1]


def test_short_work_prints_nothing_into_a_file(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar: Bar[Any]
    assert list(progress([1, 2, 3], description="short")) == [1, 2, 3]
    clock.now += 59
    with progress(total=2, description="short") as bar:
        bar.update(2)
        note("a line", file=sys.stderr)
        bar.set_description("still short")
    assert capsys.readouterr().err == "a line\n"


def test_what_was_done_before_counts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar: Bar[Any]
    with progress(total=100, initial=90, description="rest", unit="part") as bar:
        bar.update(5)
        clock.now += 61
        bar.refresh()
    assert capsys.readouterr().err.startswith("rest: 95 of 100, 95 %, ")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = progress(range(2), description="pictures")
    assert not isinstance(bar, LineAMinute) and list(bar) == [0, 1]
    assert "pictures" in stream.getvalue() and "\r" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_what_is_not_to_be_shown_is_not(stream: io.StringIO, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in progress(range(3), description="hidden", shown=False):
        clock.now += 100
    assert stream.getvalue() == ""


def test_there_is_one_definition() -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in ("training", "export")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*(from|import) tqdm", path.read_text(encoding="utf-8"), re.M)
    }
    assert users == {"training/system/progress.py"}
