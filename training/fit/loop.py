"""The training loop: one epoch, one pass of prediction, and the loop over epochs.

A batch is (inputs, targets): the tensors for the model's ``forward``, and (B, A) int64 classes. Processes that train
together (:mod:`training.system.processes`) each take their share of every batch; each step equals that of one process.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import skip_first_batches
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from training.fit.objective import Objective
from training.fit.state import Checkpointer, Epoch, FitState, Progress, best_epoch
from training.system import processes
from training.system.device import BusyClock, Device
from training.system.interrupts import delay_signals
from training.system.processes import Batches, Share, TrainingBatch
from training.system.progress import Bar, note, progress
from training.system.rank import rank

SEED_STRIDE = 10**9  # between the dropout seeds of processes that train together

__all__ = ["Batches", "Epoch", "FitState", "describe", "fit", "predict", "train_epoch"]


def fit(
    model: nn.Module,
    *,
    stage: str,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    train: Callable[[int], Batches],
    validation: Batches,
    device: Device,
    objective: Objective,
    seed: int = 0,
    patience: int | None = 3,
    state: FitState | None = None,
    after_epoch: Callable[[FitState], None] = lambda state: None,
    save_every: float = float("inf"),
    together: bool = False,
) -> list[Epoch]:
    """Train with warm-up and cosine decay, and load the weights of the best epoch on validation.

    Args:
        model: its ``forward`` takes the inputs of a batch.
        stage: name for the progress bar and the history.
        optimizer: over the parameters to train, at their peak learning rates.
        epochs: maximum number.
        train: epoch number, from 0 -> its batches.
        validation: batches that choose the best epoch, by macro-F1 plus accuracy.
        device, objective: as in :func:`train_epoch`; the objective also scores the epochs.
        seed: of dropout, together with the epoch.
        patience: stop after this many epochs without a better one. None trains all epochs and keeps the last weights.
        state: of an interrupted call, between two epochs or within one.
        after_epoch: saves the state: after each epoch, every ``save_every`` seconds, and on an error between steps.
        save_every: seconds.
        together: several processes call this function; each trains on its share of the batches of a data loader.

    Returns:
        One entry for each epoch.
    """
    device.take(model)
    steps = len(train(0))
    scheduler = _warmup_cosine(optimizer, steps=epochs * steps)
    checkpointer = Checkpointer(state, model, optimizer, scheduler, save=after_epoch, every=save_every)
    history = checkpointer.state.history
    done = len(history) * steps + checkpointer.state.progress.steps
    bar: Bar[Any] = progress(total=epochs * steps, initial=done, description=stage, unit="batch", smoothing=0)
    with bar, processes.distributed(model) if together else nullcontext(model) as network:
        trainer = _Trainer(network, optimizer, scheduler, device, objective, checkpointer, bar, together)
        for epoch in range(len(history), epochs):
            if patience is not None and best_epoch(history) + patience < epoch:
                break
            bar.set_description(f"{stage} {epoch + 1}/{epochs}")
            torch.manual_seed(1000 * seed + epoch + (SEED_STRIDE * rank() if together else 0))
            result = trainer.epoch(stage, epoch + 1, train(epoch), model, validation)
            with delay_signals():
                checkpointer.epoch_done(result)
            note(describe(result, epochs, attributes=len(trainer.objective.sizes)))
    if patience is not None:
        model.load_state_dict(checkpointer.state.best)
    return history


class _Trainer(NamedTuple):
    """Runs the epochs of one fit; fields as in :func:`fit`."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    device: Device
    objective: Objective
    checkpointer: Checkpointer
    bar: "Bar[Any]"
    together: bool

    def epoch(self, stage: str, number: int, train: Batches, model: nn.Module, validation: Batches) -> Epoch:
        """Train on the remaining batches of an epoch, then validate."""
        progress, clock = self.checkpointer.state.progress, BusyClock(self.device)
        with self.checkpointer.save_on_error():
            batches, shares = processes.split_batches(train) if self.together else (train, None)
            loss = train_epoch(
                self.network,
                _rest(batches, progress.steps),
                self.optimizer,
                self.scheduler,
                device=self.device,
                objective=self.objective,
                progress=progress,
                shares=shares and shares[progress.steps :],
                clock=clock,
                after_step=self._after_step,
            )
            busy, started = clock.share(), time.monotonic()
            logits, targets = self._predicted(model, validation)
        return Epoch(
            stage,
            number,
            loss,
            *self.objective.scores(logits, targets),
            progress.seconds + time.monotonic() - started,
            products_per_second=progress.products / progress.seconds,
            gpu_busy=busy,
        )

    def _after_step(self) -> None:
        self.bar.update()
        self.checkpointer.step_done()

    def _predicted(self, model: nn.Module, validation: Batches) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self.together:
            return processes.predict_together(lambda part: predict(model, part, device=self.device), validation)
        return predict(model, validation, device=self.device)


def train_epoch(
    model: nn.Module,
    batches: Iterable[TrainingBatch],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    *,
    device: Device,
    objective: Objective,
    clip: float = 1.0,
    progress: Progress | None = None,
    shares: Iterable[Share] | None = None,
    clock: BusyClock | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One pass over the batches, one step each; gradients are clipped to the norm ``clip``.

    Args:
        batches: the remaining ones of the epoch.
        optimizer: makes one step for each batch.
        scheduler: likewise.
        clip: maximum norm of the gradient.
        progress: of the epoch so far; it is updated.
        shares: this process's share of each batch, if several processes train together; None for whole batches.
        clock: measures how long the GPU is busy.
        after_step: called after each step.

    Returns:
        The mean loss over the whole epoch.
    """
    model.train()
    progress, clock = progress or Progress(), clock or BusyClock(device)
    progress.loss = progress.loss.to(device.name)
    last = time.monotonic()
    counted: Iterable[Share | None] = itertools.repeat(None) if shares is None else shares
    for (inputs, targets), share in zip(batches, counted, strict=False):
        with delay_signals(), progress.step(), clock.working():
            with device.autocast():
                logits = model(*(tensor.to(device.name, non_blocking=True) for tensor in inputs))
            truth = targets.to(device.name, non_blocking=True)
            loss = objective.loss(logits.float(), truth)
            loss = loss if share is None else loss * share.weight
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
            products = len(targets) if share is None else share.products
            progress.loss += loss.detach().double() * products
            progress.products += products
            now = time.monotonic()
            progress.seconds, last = progress.seconds + now - last, now
        after_step()
    total = progress.loss if shares is None else processes.process_mean(progress.loss)
    return total.item() / progress.products


@torch.no_grad()
def predict(model: nn.Module, batches: Batches, *, device: Device) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits (N, C) and targets (N, A) of all batches, in order."""
    device.take(model).eval()
    logits, targets = [], []
    for inputs, batch_targets in batches:
        with device.autocast():
            logits.append(model(*(tensor.to(device.name) for tensor in inputs)).float().cpu().numpy())
        targets.append(batch_targets.numpy())
    return np.concatenate(logits), np.concatenate(targets)


def describe(epoch: Epoch, epochs: int, *, attributes: int) -> str:
    """One line for the terminal; with several attributes it says that the scores are means."""
    of = f"mean over {attributes} attributes: " if attributes > 1 else ""
    busy = "" if epoch.gpu_busy is None else f"  GPU busy {epoch.gpu_busy:.0%}"
    return (
        f"{epoch.stage:<14} epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.3f}"
        f"  validation {of}accuracy {epoch.accuracy:.3f}  macro-F1 {epoch.macro_f1:.3f}  {epoch.seconds:.1f} s"
        f"  {epoch.products_per_second or 0:,.0f} products/s{busy}"
    )


def _rest(batches: Batches, done: int) -> Iterable[TrainingBatch]:
    """The batches after the first ``done``; a data loader does not read the skipped products."""
    if not done:
        return batches
    if isinstance(batches, DataLoader):
        rest: DataLoader[Any] = skip_first_batches(batches, done)
        return rest
    return itertools.islice(batches, done, None)


def _warmup_cosine(optimizer: torch.optim.Optimizer, *, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Linear warm-up over 10 % of the steps to the peak learning rates, then a cosine to 0."""
    warmup = max(1, steps // 10)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
