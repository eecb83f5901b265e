"""One epoch of training, one pass of evaluation, and the loop over epochs: no arguments parsed, no paths.

A batch is (inputs, targets): whatever tensors the model's ``forward`` takes, and (B,) int64 classes.
"""

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable, Sized
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from training.device import Device
from training.metrics import accuracy, macro_f1


class Batches(Iterable[tuple[tuple[Tensor, ...], Tensor]], Sized, Protocol):
    """Batches of one pass, countable for the progress bar."""


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch came to: a line of ``history.csv``.

    Args:
        stage: what was trained.
        epoch: from 1.
        loss: mean training loss.
        accuracy: on validation.
        macro_f1: on validation.
        seconds: of training and validation together.
    """

    stage: str
    epoch: int
    loss: float
    accuracy: float
    macro_f1: float
    seconds: float


@dataclasses.dataclass
class FitState:
    """Everything a later call of :func:`fit` needs to go on as if it had never stopped.

    Args:
        history: the epochs done.
        model: the current weights.
        optimizer: its state.
        scheduler: its state.
        best: the weights of the best epoch.
    """

    history: list[Epoch]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    best: dict[str, Tensor]


def fit(
    model: nn.Module,
    *,
    stage: str,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    train: Callable[[int], Batches],
    validation: Batches,
    device: Device,
    seed: int = 0,
    label_smoothing: float = 0.05,
    patience: int = 3,
    state: FitState | None = None,
    after_epoch: Callable[[FitState], None] = lambda state: None,
) -> list[Epoch]:
    """Train with warm-up and cosine decay; the model ends with the weights of its best epoch on validation.

    Args:
        model: its ``forward`` takes the inputs of a batch.
        stage: shown and kept in the history.
        optimizer: over the parameters to train, at their peak learning rates.
        epochs: at most.
        train: epoch number -> its batches.
        validation: batches that choose the best epoch, by macro-F1 plus accuracy.
        device: where, and in which precision.
        seed: of dropout, together with the epoch.
        label_smoothing: of the cross-entropy.
        patience: epochs without a better one after which training stops.
        state: where an interrupted call stopped.
        after_epoch: is handed the state after each epoch, to keep it.

    Returns:
        One entry an epoch.
    """
    device.take(model)
    scheduler = _warmup_cosine(optimizer, steps=epochs * len(train(0)))
    state = _restore(state, model, optimizer, scheduler)
    for epoch in range(len(state.history), epochs):
        if _best_epoch(state.history) + patience < epoch:
            break
        torch.manual_seed(1000 * seed + epoch)
        started = time.monotonic()
        batches = tqdm(train(epoch), desc=f"{stage} {epoch + 1}/{epochs}", unit="batch", leave=False)
        loss = train_epoch(model, batches, optimizer, scheduler, device=device, label_smoothing=label_smoothing)
        logits, targets = predict(model, validation, device=device)
        predicted = logits.argmax(1)
        scores = accuracy(targets, predicted), macro_f1(targets, predicted, classes=logits.shape[1])
        state.history.append(Epoch(stage, epoch + 1, loss, *scores, time.monotonic() - started))
        state.model, state.optimizer, state.scheduler = (
            model.state_dict(),
            optimizer.state_dict(),
            scheduler.state_dict(),
        )
        if _best_epoch(state.history) == epoch:
            state.best = copy.deepcopy(state.model)
        tqdm.write(describe(state.history[-1], epochs))
        after_epoch(state)
    model.load_state_dict(state.best)
    return state.history


def train_epoch(
    model: nn.Module,
    batches: Iterable[tuple[tuple[Tensor, ...], Tensor]],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    *,
    device: Device,
    label_smoothing: float = 0.0,
    clip: float = 1.0,
) -> float:
    """One pass over the batches, one step each; gradients are clipped to the norm ``clip``.

    Returns:
        The mean loss.
    """
    model.train()
    total, count = 0.0, 0
    for inputs, targets in batches:
        with device.autocast():
            logits = model(*(tensor.to(device.name) for tensor in inputs))
        loss = nn.functional.cross_entropy(logits.float(), targets.to(device.name), label_smoothing=label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        scheduler.step()
        total, count = total + loss.item() * len(targets), count + len(targets)
    return total / count


@torch.no_grad()
def predict(model: nn.Module, batches: Batches, *, device: Device) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits (N, C) and targets (N,) of all batches, in order."""
    device.take(model).eval()
    logits, targets = [], []
    for inputs, batch_targets in batches:
        with device.autocast():
            logits.append(model(*(tensor.to(device.name) for tensor in inputs)).float().cpu().numpy())
        targets.append(batch_targets.numpy())
    return np.concatenate(logits), np.concatenate(targets)


def describe(epoch: Epoch, epochs: int) -> str:
    """One line for the terminal."""
    return (
        f"{epoch.stage:<14} epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.3f}"
        f"  validation accuracy {epoch.accuracy:.3f}  macro-F1 {epoch.macro_f1:.3f}  {epoch.seconds:.1f} s"
    )


def _restore(
    state: FitState | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> FitState:
    if state is None:
        return FitState([], {}, {}, {}, copy.deepcopy(model.state_dict()))
    model.load_state_dict(state.model)
    optimizer.load_state_dict(state.optimizer)
    scheduler.load_state_dict(state.scheduler)
    return state


def _best_epoch(history: list[Epoch]) -> int:
    """Index of the best epoch, the earliest of equals; 0 before the first."""
    return max(range(len(history)), key=lambda i: history[i].accuracy + history[i].macro_f1, default=0)


def _warmup_cosine(optimizer: torch.optim.Optimizer, *, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """10 % linear warm-up to the peak rates, then a cosine to zero."""
    warmup = max(1, steps // 10)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
