"""Whose folder it is: one with files of anybody else is refused, and left as it was."""

from pathlib import Path

import pytest
from filelock import FileLock
from stub_engine import StubEngine, fingerprint, run

from client.api.errors import ClientError
from client.scoring.workspace import remove_workspace
from training.system.storage import LockedError, StorageError

FOREIGN = {
    "results by name": ["predictions.csv"],
    "parts without a run": ["parts/part-00000.parquet"],
    "other parts": ["parts/wheel.stl"],
    "one file among our parts": [".lock", "parts/rows-00000.parquet", "parts/notes.txt"],
    "a folder within parts": [".lock", "parts/manifest.json/mine"],
    "a file called parts": [".lock", "parts"],
    "a catalogue beside a lock": [".lock", "catalog.csv"],
    "another summary": ["summary.json"],
    "another manifest": [".lock", "parts/manifest.json"],
}


@pytest.mark.parametrize("names", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_with_anything_else_is_left_alone(catalogue: Path, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    before = fingerprint(tmp_path / "out")
    with pytest.raises(ClientError, match=r"out contains other files \(.*\); choose another folder"):
        run(catalogue, tmp_path / "out", StubEngine())
    assert fingerprint(tmp_path / "out") == before


def test_parts_that_lie_elsewhere_are_left_alone(catalogue: Path, tmp_path: Path) -> None:
    for name in ("mine", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "part-00000.parquet").touch()
    (tmp_path / "out" / ".lock").touch()
    (tmp_path / "out" / "parts").symlink_to(tmp_path / "mine")
    with pytest.raises(ClientError, match=r"contains other files \(parts\)"):
        run(catalogue, tmp_path / "out", StubEngine())
    assert (tmp_path / "mine" / "part-00000.parquet").exists()


def test_what_appears_among_the_parts_is_kept(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    for name in ("rows-00000.parquet", ".part-00000.parquet.partial", "ids.sqlite", "manifest.json", "notes.txt"):
        (parts / name).touch()
    remove_workspace(parts)
    assert [path.name for path in parts.iterdir()] == ["notes.txt"]


def test_a_copy_without_the_lock_goes_on(catalogue: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(catalogue, tmp_path / "out", StubEngine(stop_after=20))
    (tmp_path / "out" / ".lock").unlink()
    said: list[str] = []
    run(catalogue, tmp_path / "out", StubEngine(), log=said.append)
    assert "47 rows in 3 chunks, 16 already answered" in said


def test_two_runs_at_once_are_refused(catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(LockedError, match="another run is using"):
        run(catalogue, tmp_path / "out", StubEngine())


def test_a_folder_that_cannot_be_made_or_locked_is_a_sentence(catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file cannot be made or read as a folder .* choose another"):
        run(catalogue, tmp_path / "file", StubEngine())
    (tmp_path / "out" / ".lock").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"out cannot be written to .* choose another folder"):
        run(catalogue, tmp_path / "out", StubEngine())
