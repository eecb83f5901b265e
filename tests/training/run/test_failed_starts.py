"""A start that fails leaves no run folder behind, and what was there before stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from training.run.checkpoint import RunError
from training.run.folder import kept_if_begun
from training.run.record import read_run
from training.system.storage import LockedError


def start(folder: Path, error: BaseException, *files: str) -> None:
    """Write some files into a folder, then fail."""
    with kept_if_begun(folder):
        for name in (".lock", "options.json", *files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError("disk full")])
@pytest.mark.parametrize("files", [(), ("tokenizer.json", "features/pictures.bin")])
def test_a_start_that_fails_leaves_nothing(tmp_path: Path, error: BaseException, files: tuple[str, ...]) -> None:
    with pytest.raises(type(error)):
        start(tmp_path / "runs" / "shop", error, *files)
    assert not any(tmp_path.iterdir())


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="no"):
        start(tmp_path, ValueError("no"), "features/pictures.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("begun", ["split.csv", "fold-2/split.csv"])
def test_a_run_that_has_begun_is_kept(tmp_path: Path, begun: str) -> None:
    with pytest.raises(ValueError, match="no"):
        start(tmp_path / "run", ValueError("no"), begun)
    assert (tmp_path / "run" / "options.json").is_file()


def test_the_folder_of_another_process_is_kept(tmp_path: Path) -> None:
    with pytest.raises(LockedError):
        start(tmp_path / "run", LockedError("taken"))
    assert (tmp_path / "run" / "options.json").is_file()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "my run does not exist; complete runs beside it: demo"),
        (lambda folder: folder.mkdir(), "my run holds no run; complete runs beside it: demo"),
        (lambda folder: (folder.mkdir(), (folder / "options.json").touch()), "--out '.*/my run'` with the options"),
    ],
    ids=["missing", "another folder", "interrupted"],
)
def test_no_message_names_a_run_that_is_not_there(tmp_path: Path, make: Callable[[Path], object], told: str) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "run.json").touch()
    make(tmp_path / "my run")
    with pytest.raises(RunError, match=told):
        read_run(tmp_path / "my run")
