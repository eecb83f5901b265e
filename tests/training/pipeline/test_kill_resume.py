"""Killed again and again at random points, gone on with each time: the end is the one of a run that was never stopped.

The points are steps of training, batches of features and moments of writing, drawn with a fixed seed. A process kills
itself there with SIGKILL, so nothing is tidied up.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_processes import start, train
from safetensors.numpy import load_file

from training.features import extraction
from training.fit import state as fit_state
from training.models import MODELS
from training.run import stages
from training.run.options import TrainOptions
from training.system import storage

KINDS = ("features", "step", "written", "named")
ROUNDS = 2
LIMIT = 120


def train_until(options: TrainOptions, kind: str, number: int, counts: Path) -> int:
    """Train, keeping the state after every step, and die at the ``number``-th moment of a kind; 0 never does.

    Args:
        options: of the run.
        kind: one of ``KINDS``.
        number: from 1.
        counts: file that tells, at the end, how many moments of each kind came.
    """
    seen = dict.fromkeys(KINDS, 0)

    def moment(now: str) -> None:
        seen[now] += 1
        if now == kind and seen[now] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(now: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def marked(*arguments: Any, **keywords: Any) -> Any:
            moment(now)
            return function(*arguments, **keywords)

        return marked

    def marked_blocks(blocks: Iterator[Any]) -> Iterator[Any]:
        for block in blocks:
            moment("features")
            yield block

    stages.SAVE_EVERY, fit_state.RARELY = 0.0, 0
    step_done = fit_state.Checkpointer.step_done
    fit_state.Checkpointer.step_done = before("step", step_done)
    for name in ("_image_features", "_text_features"):
        function = getattr(extraction, name)
        setattr(extraction, name, lambda *given, function=function: marked_blocks(function(*given)))
    storage.os.fsync = before("written", os.fsync)
    storage.Path.replace = before("named", Path.replace)
    train(options)
    counts.write_text(" ".join(str(seen[each]) for each in KINDS), encoding="utf-8")
    return 0


@pytest.fixture
def small(options: Callable[..., TrainOptions], tmp_path: Path) -> Callable[[str], TrainOptions]:
    """Options of a run in a folder of that name: both towers tuned, fusion heads with all their dropout."""
    changes = {
        "image_epochs": 1,
        "image_size": 32,
        "text_epochs": 2,
        "head_epochs": 2,
        "fusion_epochs": 2,
        "image_rate": 1e-3,
    }
    return lambda name: options(out=tmp_path / name, **changes)


def everything(run: Path) -> dict[str, Any]:
    """What a run came to: answers, weights and histories, without times."""
    found: dict[str, Any] = {}
    for model in MODELS:
        found |= {f"{model} {name}": value for name, value in np.load(run / model / "test.npz").items()}
        found |= {f"{model} {name}": value for name, value in load_file(run / model / "model.safetensors").items()}
        history = pd.read_csv(run / model / "history.csv")
        found[f"{model} history"] = history[["epoch", "loss", "accuracy", "macro_f1"]].to_numpy()
    return found


@pytest.mark.slow
def test_a_run_that_was_killed_again_and_again_ends_the_same(
    small: Callable[[str], TrainOptions], tmp_path: Path
) -> None:
    whole, killed = small("whole"), small("killed")
    first = start(train_until, whole, "step", 0, tmp_path / "counts", log=tmp_path / "whole.log")
    first.join(LIMIT)
    assert first.exitcode == 0, (tmp_path / "whole.log").read_text(encoding="utf-8")
    moments = dict(zip(KINDS, map(int, (tmp_path / "counts").read_text(encoding="utf-8").split()), strict=True))
    random = np.random.default_rng(20)
    log = tmp_path / "killed.log"
    for kind in ROUNDS * KINDS:
        number = int(random.integers(1, 1 + max(1, moments[kind] // (2 * ROUNDS))))
        process = start(train_until, killed, kind, number, tmp_path / "counts", log=log)
        process.join(LIMIT)
        assert process.exitcode == -signal.SIGKILL, (kind, number, log.read_text(encoding="utf-8"))
        assert not (killed.out / "run.json").exists()
    last = start(train, killed, log=log)
    last.join(LIMIT)
    text = log.read_text(encoding="utf-8")
    assert last.exitcode == 0 and "damaged" not in text and "Traceback" not in text, text
    expected, found = everything(whole.out), everything(killed.out)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    leftovers = [path.name for path in killed.out.rglob("*") if path.suffix in (".partial", ".state")]
    assert not leftovers
