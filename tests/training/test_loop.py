"""Training and evaluation on tensors: learning, early stopping, and going on after an interruption."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.device import Device, choose_device
from training.loop import Epoch, FitState, fit, predict

CPU = Device("cpu", False, "test")
Batch = tuple[tuple[Tensor, ...], Tensor]


def batches(count: int = 8, seed: int = 0) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 16, 3, generator=generator)
    return [((block,), (block[:, 0] > 0).long()) for block in inputs]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))


def run(network: nn.Module, epochs: int, **arguments: Any) -> list[Epoch]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.03)
    return fit(
        network,
        stage="test",
        optimizer=optimizer,
        epochs=epochs,
        train=lambda epoch: batches(seed=epoch),
        validation=batches(seed=99),
        device=CPU,
        **arguments,
    )


def test_it_learns_what_can_be_learned() -> None:
    history = run(model(), 6)
    assert history[-1].loss < history[0].loss
    assert max(epoch.accuracy for epoch in history) > 0.95


def test_going_on_from_a_state_equals_never_stopping() -> None:
    whole, stopped = model(), model()
    run(whole, 4)
    states: list[FitState] = []
    run(stopped, 4, after_epoch=lambda state: states.append(copy.deepcopy(state)))
    resumed = model()
    history = run(resumed, 4, state=states[1])
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


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
    monkeypatch.setattr("training.loop.accuracy", lambda *arguments: next(scores))
    monkeypatch.setattr("training.loop.macro_f1", lambda *arguments, **keywords: 0.0)
    network = model()
    states: list[dict[str, Tensor]] = []
    run(network, 3, after_epoch=lambda state: states.append(copy.deepcopy(state.model)))
    torch.testing.assert_close(dict(network.state_dict()), dict(states[1]), rtol=0, atol=0)


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
