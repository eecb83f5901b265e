"""Errors in training: one sentence that says how to go on, no lost work, and the next run resumes."""

import errno
import io
import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from run_processes import signal_instead_of_training, start

from training.__main__ import main
from training.fit import state as fit_state
from training.pipeline import training_run as pipeline
from training.run import data as run_data
from training.run import stages
from training.run.checkpoint import load_fit_state, run_lock
from training.system import storage
from training.system.storage import StorageError, atomic_path, storage_errors

Arguments = Callable[..., list[str]]


@pytest.fixture
def shop(drawn_catalogue: Path, tmp_path: Path) -> Path:
    """A private catalogue that the test may damage."""
    return Path(shutil.copytree(drawn_catalogue.parent, tmp_path / "shop"))


@pytest.fixture
def arguments(shop: Path, tiny_bert: Path, tmp_path: Path) -> Arguments:
    """A small run of the single models into a folder of that name."""

    def build(name: str, *more: str) -> list[str]:
        return [
            *("train", "--data", str(shop), "--out", str(tmp_path / name), "--text-encoder", str(tiny_bert)),
            *("--image-encoder", "small", "--image-size", "32", "--precision", "fp32"),
            *("--image-epochs", "0", "--text-epochs", "1", "--head-epochs", "1", "--batch-size", "8"),
            *("--models", "image", "text", *more),
        ]

    return build


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(("processes", "damage"), [("0", "cut"), ("1", "gone")])
def test_a_picture_that_breaks_within_an_epoch(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: str, damage: str
) -> None:
    """Read from the catalogue in every epoch, by this process or by a loader's."""
    monkeypatch.setattr(run_data, "CACHE_SHARE", 0.0)
    hidden, images, step_done = tmp_path / "images", tmp_path / "shop" / "images", fit_state.Checkpointer.step_done

    def broken(checkpointer: fit_state.Checkpointer) -> None:
        step_done(checkpointer)
        if checkpointer.state.progress.steps == 2 and not hidden.exists():
            shutil.copytree(images, hidden)
            for path in images.iterdir():
                path.unlink() if damage == "gone" else os.truncate(path, 100)

    monkeypatch.setattr(stages.Stages, "fit", breaking_in("image-tuned", monkeypatch, broken))
    given = arguments("run", "--processes", processes, "--image-epochs", "1", "--text-epochs", "0")
    with redirect_stderr(io.StringIO()) as errors:
        assert main(given) == 1
    message = errors.getvalue().strip().splitlines()[-1]
    assert message.startswith("error: the picture of product ") and "'images/" in message
    assert "run the same command again: it goes on where it stopped" in message and "Traceback" not in message
    state = load_fit_state(tmp_path / "run" / "state" / "image-tuned.state")
    assert state is not None and state.progress.steps >= 2
    shutil.copytree(hidden, images, dirs_exist_ok=True)
    assert main(given) == 0


def breaking_in(stage: str, monkeypatch: pytest.MonkeyPatch, step_done: Callable[..., None]) -> Callable[..., Any]:
    """``Stages.fit`` with another ``Checkpointer.step_done`` in one stage."""
    whole = stages.Stages.fit

    def fit(self: stages.Stages, model: Any, **given: Any) -> Any:
        with monkeypatch.context() as patch:
            if given["stage"] == stage:
                patch.setattr(fit_state.Checkpointer, "step_done", step_done)
            return whole(self, model, **given)

    return fit


def test_a_full_disk(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full at one file after the other; the files before it stay and are used again."""
    sync = os.fsync
    for number in (1, 5, 9):
        written = itertools.count(1)

        def full(file: int, written: "itertools.count[int]" = written, number: int = number) -> None:
            if next(written) >= number:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(file)

        monkeypatch.setattr(storage.os, "fsync", full)
        assert main(arguments("run")) == 1
        message = last_line(capsys)
        assert "is full: " in message and "MiB are free; make room, then run the same command again" in message
    monkeypatch.undo()
    assert main(arguments("run")) == 0
    assert not list((tmp_path / "run").rglob("*.partial"))


def test_a_disk_without_room_is_refused_before_writing(tmp_path: Path) -> None:
    message = r"file takes 1,048,576\.0 MiB, [\d.,]+ MiB are free"
    with pytest.raises(StorageError, match=message), atomic_path(tmp_path / "file", needs=2**40):
        pytest.fail("begun")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "is full"),
        (OSError(errno.EROFS, "Read-only file system"), "choose another --out"),
        (PermissionError(errno.EACCES, "Permission denied"), "choose another --out"),
    ],
)
def test_a_full_or_read_only_disk_is_recognised_in_the_errors_of_libraries(
    tmp_path: Path, error: Exception, means: str
) -> None:
    with pytest.raises(StorageError, match=means), storage_errors(tmp_path / "file"):
        raise error
    with pytest.raises(StorageError, match=means), storage_errors(tmp_path / "file"):
        try:
            raise error
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")  # PyTorch, closing the file


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), storage_errors(tmp_path):
        tmp_path.read_bytes()


def test_a_read_only_folder(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*given: Any, **keywords: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "run")

    monkeypatch.setattr(Path, "mkdir", refused)
    assert main(arguments("run")) == 1
    assert "Read-only file system" in (message := last_line(capsys)) and "choose another folder" in message


def test_a_signal_ends_in_one_line(arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signals to real processes during training; the last run ends normally."""
    slow = arguments("run", "--image-encoder", "efficientnet_lite0")
    state = tmp_path / "run" / "state"
    for number, status, sign in ((signal.SIGINT, 130, "image-head.json"), (signal.SIGTERM, 143, "text-head.json")):
        log = tmp_path / f"{sign}.log"
        process = start(main, slow, log=log)
        while not (state / sign).exists() and process.is_alive():
            time.sleep(0.01)
        os.kill(process.pid or 0, number)
        process.join(300)
        text = log.read_text(encoding="utf-8")
        assert process.exitcode == status, text
        assert "Traceback" not in text and "the same command goes on where it stopped" in text.splitlines()[-1]
    assert main(slow) == 0, last_line(capsys)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_of_training_too(
    arguments: Arguments, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """In a process that loads only the trainer, because libraries of other tests install signal handlers."""
    log = tmp_path / "log"
    process = start(signal_instead_of_training, int(number), arguments("run"), log=log)
    process.join(300)
    assert process.exitcode == status
    opening, told = log.read_text(encoding="utf-8").split("\n", 1)
    assert opening.startswith("Training on ") and len(told.strip().splitlines()) == 1


def test_two_processes_never_train_into_one_folder(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "run_lock", partial(run_lock, wait=0))
    with run_lock(tmp_path / "run"):
        assert main(arguments("run")) == 1
        assert "another process is training into" in last_line(capsys)
    with run_lock(tmp_path / "run", wait=0):
        pass


def test_a_catalogue_that_changed_under_a_run(
    arguments: Arguments,
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its towers were trained on products that would be in the new test part."""
    monkeypatch.setattr(pipeline, "_train_models", interrupted)
    assert main(arguments("run")) == 130
    table = shop / "products.csv"
    products = pd.read_csv(table)
    products.drop(index=5).to_csv(table, index=False)
    assert main(arguments("run")) == 1
    assert "the catalogue has changed since this run was started" in last_line(capsys)
    products.to_csv(table, index=False)
    assert main(arguments("run")) == 130, "as it was, it goes on"


def interrupted(*given: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("classes", ["single product", "empty label"])
def test_classes_too_small(
    arguments: Arguments, shop: Path, classes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = shop / "products.csv"
    products = pd.read_csv(table)
    products.loc[0, "label"] = "Unicorns" if classes == "single product" else ""
    products.to_csv(table, index=False)
    monkeypatch.setattr(pipeline, "_train_models", interrupted)
    assert main(arguments("run")) == 130
    told = "trained on but not tested: Unicorns" if classes == "single product" else "label_empty 1"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--target", "labl"), "has no column 'labl'; its columns are 'image', 'text', 'label'"),
        (("--classes", "Shoes", "Hats"), "no product has the label 'Hats'"),
        (("--min-class", "1000"), "no class has 1000 products or more"),
    ],
)
def test_unknown_columns_and_classes_are_named(
    arguments: Arguments, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments("run", *more)) == 1
    assert message in last_line(capsys)
