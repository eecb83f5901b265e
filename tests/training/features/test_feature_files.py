"""Feature files: an extraction that is cut at any byte resumes and ends with the same file."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.features.files import read_or_compute
from training.system.storage import StorageError

ROWS = (4, 4, 0, 3)
WHOLE = np.random.default_rng(0).normal(size=(sum(ROWS), 2, 3)).astype(np.float16)
Blocks = Callable[[int], Iterator[NDArray[np.float16]]]


def blocks_until(stop: int, asked: list[int]) -> Blocks:
    """Blocks of ``WHOLE`` that end before number ``stop``; records the requested ones."""

    def blocks(done: int) -> Iterator[NDArray[np.float16]]:
        for number in range(done, len(ROWS)):
            if number == stop:
                raise KeyboardInterrupt
            asked.append(number)
            start = sum(ROWS[:number])
            yield WHOLE[start : start + ROWS[number]]

    return blocks


@pytest.mark.parametrize("stop", range(len(ROWS)))
def test_only_what_is_missing_is_computed(tmp_path: Path, stop: int) -> None:
    asked: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        read_or_compute(tmp_path / "f.npy", blocks_until(stop, asked), rows=ROWS)
    assert not (tmp_path / "f.npy").exists()
    array = read_or_compute(tmp_path / "f.npy", blocks_until(-1, asked), rows=ROWS)
    np.testing.assert_array_equal(array, WHOLE)
    full = [number for number in asked if ROWS[number]]
    assert full == [0, 1, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["f.npy"]


def test_a_file_cut_at_any_byte_ends_the_same(tmp_path: Path) -> None:
    read_or_compute(tmp_path / "whole.npy", blocks_until(-1, []), rows=ROWS)
    content = (tmp_path / "whole.npy").read_bytes()
    for size in range(0, len(content) + 1, 7):
        (tmp_path / "f.partial").write_bytes(content[:size])
        read_or_compute(tmp_path / "f.npy", blocks_until(-1, []), rows=ROWS)
        assert (tmp_path / "f.npy").read_bytes() == content, size
        (tmp_path / "f.npy").unlink()


@pytest.mark.parametrize("damage", [b"", b"nonsense", "cut"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes | str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.npy"
    read_or_compute(path, blocks_until(-1, []), rows=ROWS)
    path.write_bytes(path.read_bytes()[:-5] if isinstance(damage, str) else damage)
    np.testing.assert_array_equal(read_or_compute(path, blocks_until(-1, []), rows=ROWS), WHOLE)
    assert "damaged" in capsys.readouterr().err


def test_a_full_disk_is_seen_before_the_work_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(StorageError, match=r"takes 0\.0 MiB, 0\.0 MiB are free; make room, then run the same command"):
        read_or_compute(tmp_path / "f.npy", blocks_until(-1, asked), rows=ROWS)
    assert asked == [0]
    monkeypatch.undo()
    np.testing.assert_array_equal(read_or_compute(tmp_path / "f.npy", blocks_until(-1, asked), rows=ROWS), WHOLE)
