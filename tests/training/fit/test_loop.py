"""The training loop on tensors: learning, early stopping, and resuming."""

import copy
import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.fit import loop
from training.fit.loop import Epoch, FitState, describe, fit, predict
from training.fit.objective import Objective
from training.system.device import BusyClock, Device, choose_device, loader_processes
from training.system.interrupts import Terminated, signals_like_ctrl_c
from training.system.progress import progress

CPU = Device("cpu", False, "test")
OBJECTIVE = Objective(sizes=(2,), weights=(1.0,))
Batch = tuple[tuple[Tensor, ...], Tensor]


def batches(count: int = 8, seed: int = 0) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 16, 3, generator=generator)
    return [((block,), (block[:, :1] > 0).long()) for block in inputs]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))


def run(network: nn.Module, epochs: int, **arguments: Any) -> list[Epoch]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.03)
    given: dict[str, Any] = {"train": lambda epoch: batches(seed=epoch), **arguments}
    return fit(
        network,
        objective=OBJECTIVE,
        stage="test",
        optimizer=optimizer,
        epochs=epochs,
        validation=batches(seed=99),
        device=CPU,
        **given,
    )


class Stop(Exception):
    """Raised by a test to end a fit."""


class Broken(list[Batch]):
    """Batches of one pass; reading batch ``until``, counted over all passes, fails."""

    def __init__(self, whole: list[Batch], counter: "itertools.count[int]", until: int) -> None:
        super().__init__(whole)
        self._counter = counter
        self._until = until

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            if next(self._counter) > self._until:
                raise Stop
            yield batch


def test_a_fit_learns_separable_data() -> None:
    history = run(model(), 6)
    assert history[-1].loss < history[0].loss
    assert max(epoch.accuracy for epoch in history) > 0.95


def test_resuming_from_a_state_equals_an_uninterrupted_fit() -> None:
    whole, stopped = model(), model()
    run(whole, 4)
    states: list[FitState] = []
    run(stopped, 4, after_epoch=lambda state: states.append(copy.deepcopy(state)))
    resumed = model()
    history = run(resumed, 4, state=states[1])
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("stop", [1, 8, 13, 16, 31])
@pytest.mark.parametrize("epochs_apart", ["kept", "killed"])
def test_resuming_within_an_epoch_equals_an_uninterrupted_fit(stop: int, epochs_apart: str) -> None:
    """Saved on an error, or by the clock before the process is killed."""
    whole, stopped, resumed = model(), model(), model()
    expected = run(whole, 4)
    states: list[FitState] = []
    drawn = itertools.count(1)
    every = float("inf") if epochs_apart == "kept" else 0.0
    with pytest.raises(Stop):
        run(
            stopped,
            4,
            train=lambda epoch: Broken(batches(seed=epoch), drawn, stop),
            save_every=every,
            after_epoch=lambda state: states.append(copy.deepcopy(state)),
        )
    last = states[-1] if epochs_apart == "kept" else states[-2]
    history = run(resumed, 4, state=FitState.from_dict(last.as_dict()))
    assert last.progress.steps or last.history
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)
    assert [(epoch.loss, epoch.accuracy) for epoch in history] == [(epoch.loss, epoch.accuracy) for epoch in expected]


def test_a_failed_step_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[FitState] = []
    calls = itertools.count(1)
    clip = nn.utils.clip_grad_norm_

    def failing(*arguments: Any) -> Tensor:
        if next(calls) == 5:
            raise MemoryError
        return clip(*arguments)

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", failing)
    with pytest.raises(MemoryError):
        run(model(), 2, after_epoch=states.append)
    assert not states


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)],
)
def test_ctrl_c_within_a_step_waits_for_its_end(
    number: signal.Signals, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[FitState] = []
    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *given: (os.kill(os.getpid(), number), clip(*given))[1])
    with pytest.raises(error), signals_like_ctrl_c():
        run(model(), 2, after_epoch=states.append)
    [state] = states
    assert state.progress.steps == 1 and state.optimizer["state"][0]["step"] == 1


def test_products_are_counted_and_a_cpu_has_no_busy_gpu() -> None:
    [epoch] = run(model(), 1)
    assert epoch.products_per_second is not None and epoch.products_per_second > 0
    assert epoch.gpu_busy is None
    assert f"{epoch.products_per_second:,.0f} products/s" in describe(epoch, 1, attributes=1)
    assert "  validation accuracy" in describe(epoch, 1, attributes=1)
    assert "mean over 5 attributes: accuracy" in describe(epoch, 1, attributes=5)


def test_the_bar_counts_to_the_end_of_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Any] = []

    def kept(**arguments: Any) -> Any:
        bars.append(progress(**arguments))
        return bars[-1]

    states: list[FitState] = []
    run(model(), 4, after_epoch=lambda state: states.append(copy.deepcopy(state)))
    monkeypatch.setattr(loop, "progress", kept)
    run(model(), 4, state=states[1])
    [bar] = bars
    assert (bar.initial, bar.n, bar.total) == (16, 32, 32)


def test_it_stops_when_nothing_improves() -> None:
    network = model()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    network[0].bias.requires_grad_(True)
    with torch.no_grad():
        network[3].weight.zero_()
    assert len(run(network, 20, patience=2)) == 3


def test_the_best_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.9, 0.1])
    monkeypatch.setattr("training.fit.objective.accuracy", lambda *arguments: next(scores))
    monkeypatch.setattr("training.fit.objective.macro_f1", lambda *arguments, **keywords: 0.0)
    network = model()
    states: list[dict[str, Tensor]] = []
    run(network, 3, after_epoch=lambda state: states.append(copy.deepcopy(state.model)))
    torch.testing.assert_close(dict(network.state_dict()), dict(states[1]), rtol=0, atol=0)


def test_without_patience_the_last_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.objective.accuracy", lambda *arguments: 0.0)  # none is better than the first
    network = model()
    states: list[dict[str, Tensor]] = []
    run(network, 6, patience=None, after_epoch=lambda state: states.append(copy.deepcopy(state.model)))
    assert len(states) == 6
    torch.testing.assert_close(dict(network.state_dict()), dict(states[-1]), rtol=0, atol=0)


def test_predict_keeps_the_order() -> None:
    data = batches(count=3)
    logits, targets = predict(model(), data, device=CPU)
    np.testing.assert_array_equal(targets, torch.cat([target for _, target in data]).numpy())
    assert logits.shape == (48, 2)


def test_precision_can_be_forced_and_names_its_reason() -> None:
    assert choose_device("fp32").bf16 is False
    assert "--precision" in choose_device("bf16").reason
    with pytest.raises(ValueError, match="'bf16'"):
        choose_device("fp8")


def test_finished_batches_are_not_read_again() -> None:
    """Nor from the disk: the loader starts after the finished batches."""
    read: list[int] = []

    class Rows(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
        def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
            read.append(row)
            return torch.full((3,), float(row)), torch.tensor([row % 2])

    def loader(epoch: int) -> Any:
        rows = [[row, row + 1] for row in range(0, 12, 2)]
        return torch.utils.data.DataLoader(Rows(), batch_sampler=rows, collate_fn=pairs)

    def pairs(rows: list[tuple[Tensor, Tensor]]) -> Batch:
        return (torch.stack([row for row, _ in rows]),), torch.stack([target for _, target in rows])

    states: list[FitState] = []
    run(model(), 1, train=loader, save_every=0.0, after_epoch=lambda state: states.append(copy.deepcopy(state)))
    begun = states[0]
    assert begun.progress.steps == 1
    read.clear()
    run(model(), 1, train=loader, state=begun)
    assert read == list(range(2, 12))


@pytest.mark.parametrize(("gpus", "ranks", "expected"), [(0, 1, 0), (1, 1, 8), (4, 4, 4)])
def test_a_gpu_gets_loader_processes(gpus: int, ranks: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpus))
    monkeypatch.setattr("training.system.device.usable_cores", lambda: 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert loader_processes() == expected


def test_a_gpu_is_busy_in_its_steps_and_idle_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the events of a GPU: a step of 0.2 s every 0.5 s."""
    clock = itertools.count(0.0, 0.1)
    monkeypatch.setattr("training.system.device.time.monotonic", lambda: next(clock))

    class Event:
        def __init__(self, **given: bool) -> None:
            self.at = 0.0

        def record(self) -> None:
            self.at = next(clock)

        def elapsed_time(self, end: "Event") -> float:
            return 1000 * (end.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    busy = BusyClock(Device("cuda", False, "test"))
    for _ in range(4):
        with busy.working():
            next(clock)
        next(clock), next(clock)
    assert busy.share() == pytest.approx(4 * 0.2 / 2.1)
    assert BusyClock(CPU).share() is None
