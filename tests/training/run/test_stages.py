"""Finished fits are read back; damaged files cost the fit they belong to, never the run."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.fit.loop import Epoch
from training.fit.objective import Objective
from training.run import stages
from training.run.stages import Stages
from training.system.device import Device

CPU = Device("cpu", False, "test")
Batch = tuple[tuple[Tensor, ...], Tensor]


class Broken(Exception):
    """Ends a fit from inside."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 2))


def batches(epoch: int) -> list[Batch]:
    inputs = torch.randn(6, 8, 3, generator=torch.Generator().manual_seed(epoch))
    return [((block,), (block[:, :1] > 0).long()) for block in inputs]


def fit(folder: Path, model: nn.Module, *, stop: int = 10**9) -> list[Epoch]:
    """Three epochs of six steps; the batch after the ``stop``-th cannot be had."""
    drawn = itertools.count(1)

    class Until(list[Batch]):
        def __iter__(self) -> Any:
            for batch in super().__iter__():
                if next(drawn) > stop:
                    raise Broken
                yield batch

    return Stages(folder).fit(
        model,
        objective=Objective(sizes=(2,), weights=(1.0,)),
        stage="test",
        optimizer=torch.optim.AdamW(model.parameters(), lr=0.05),
        epochs=3,
        train=lambda epoch: Until(batches(epoch)),
        validation=batches(99),
        device=CPU,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """What an undisturbed fit leaves: its folder, not to be changed, and the network."""
    folder, model = tmp_path_factory.mktemp("stages"), network()
    fit(folder, model)
    return folder, model


@pytest.fixture
def whole(finished: tuple[Path, nn.Module], tmp_path: Path) -> nn.Module:
    """That network; a copy of the folder is ``whole`` in the test's own."""
    shutil.copytree(finished[0], tmp_path / "whole")
    return finished[1]


def same(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(dict(one.state_dict()), dict(other.state_dict()), rtol=0, atol=0)


def test_a_finished_fit_is_read_back(whole: nn.Module, tmp_path: Path) -> None:
    again = network()
    history = fit(tmp_path / "whole", again, stop=0)
    same(again, whole)
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["test.json", "test.safetensors"]


@pytest.mark.parametrize("stop", [0, 4, 6, 15])
def test_a_fit_that_broke_goes_on_from_the_last_step(whole: nn.Module, tmp_path: Path, stop: int) -> None:
    with pytest.raises(Broken):
        fit(tmp_path / "broken", network(), stop=stop)
    model = network()
    fit(tmp_path / "broken", model)
    same(model, whole)


@pytest.mark.parametrize("left", [0, 1, 0.3, 0.5, 0.99, "flipped", "nonsense", "other"])
def test_a_damaged_state_starts_the_fit_anew(
    whole: nn.Module, tmp_path: Path, left: float | str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Broken):
        fit(tmp_path, network(), stop=9)
    path = tmp_path / "test.state"
    content = path.read_bytes()
    if left == "other":
        torch.save({"history": [], "model": {}}, path)
    elif left == "flipped":
        weights = torch.load(path)["model"]["0.weight"].numpy().tobytes()
        path.write_bytes(content.replace(weights, weights[:-1] + bytes([weights[-1] ^ 1])))
    else:
        path.write_bytes(
            b"nonsense" if isinstance(left, str) else content[: int(left * len(content)) if left != 1 else 1]
        )
    model = network()
    fit(tmp_path, model)
    same(model, whole)
    error = capsys.readouterr().err
    assert "test.state is damaged" in error and "test starts again" in error


@pytest.mark.parametrize("name", ["test.safetensors", "test.json"])
@pytest.mark.parametrize("content", [b"", b"{", None])
def test_a_damaged_result_is_fitted_again(
    whole: nn.Module, tmp_path: Path, name: str, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "whole" / name
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    model = network()
    fit(tmp_path / "whole", model)
    same(model, whole)
    assert "damaged" in capsys.readouterr().err


def test_the_state_is_kept_within_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the process is killed, so that nothing is kept on the way out."""
    monkeypatch.setattr(stages, "SAVE_EVERY", 0.0)
    kept: list[int] = []
    save = stages.save_fit_state
    monkeypatch.setattr(
        stages, "save_fit_state", lambda path, state: (kept.append(state.progress.steps), save(path, state))
    )
    fit(tmp_path, network())
    assert any(0 < steps < 6 for steps in kept)
