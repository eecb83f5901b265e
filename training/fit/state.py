"""The state of a fit: history, weights, and progress within an epoch; and when it is saved."""

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

SAVE_PAUSE_FACTOR = 20  # least pause between two saves within an epoch, in durations of a save


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The result of one epoch, a line of ``history.csv``.

    Args:
        epoch: from 1.
        loss: mean training loss.
        accuracy: on validation, mean over the attributes.
        macro_f1: likewise.
        seconds: for training and validation.
        products_per_second: in training, all processes together.
        gpu_busy: share of the training time in which the main process's GPU was busy, 0..1; see
            :class:`training.system.device.BusyClock`. None on a CPU.
    """

    stage: str
    epoch: int
    loss: float
    accuracy: float
    macro_f1: float
    seconds: float
    products_per_second: float | None = None
    gpu_busy: float | None = None


@dataclasses.dataclass
class Progress:
    """Progress within the current epoch.

    Args:
        steps: number of steps done.
        products: in these steps.
        loss: () float64, sum over these products.
        seconds: that these steps took.
        random: random states (CPU, then CUDA) to restore before the next step; empty restores nothing.
        between_steps: False during a step, when weights and counts may belong to different steps.
    """

    steps: int = 0
    products: int = 0
    loss: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    random: list[Tensor] = dataclasses.field(default_factory=list)
    between_steps: bool = True

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count one step, which runs in the ``with`` block; a step that fails is not counted."""
        for state, put in zip(self.random, (torch.set_rng_state, torch.cuda.set_rng_state), strict=False):
            put(state)
        self.random = []
        self.between_steps = False
        yield
        self.steps += 1
        self.between_steps = True


@dataclasses.dataclass
class FitState:
    """Everything that a later call of :func:`training.fit.loop.fit` needs to resume.

    Args:
        history: the finished epochs.
        model: the current weights.
        optimizer: its state.
        scheduler: its state.
        best: the weights of the best epoch.
        progress: within the current epoch.
    """

    history: list[Epoch]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    best: dict[str, Tensor]
    progress: Progress = dataclasses.field(default_factory=Progress)

    def as_dict(self) -> dict[str, Any]:
        """The state as tensors, numbers, strings, lists and dicts. The tensors are not copied."""
        history, progress = [dataclasses.asdict(epoch) for epoch in self.history], vars(self.progress)
        return {**vars(self), "history": history, "progress": progress}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "FitState":
        """The state from the result of :meth:`as_dict`."""
        history, progress = [Epoch(**epoch) for epoch in values["history"]], Progress(**values.get("progress", {}))
        return cls(**{**values, "history": history, "progress": progress})


class Checkpointer:
    """Loads the state of a fit, updates it, and decides when to save it.

    Args:
        state: to resume; None starts a new fit.
        model: gets the state's weights.
        optimizer: likewise.
        scheduler: likewise.
        every: seconds between two saves within an epoch; more if saving takes long.
    """

    def __init__(
        self,
        state: FitState | None,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        *,
        save: Callable[[FitState], None],
        every: float,
    ) -> None:
        self._model, self._optimizer, self._scheduler = model, optimizer, scheduler
        self._save = save
        self._every = every
        self._due = time.monotonic() + every
        if state is None:
            self.state = FitState([], {}, {}, {}, copy.deepcopy(model.state_dict()))
            return
        self.state = state
        for part, values in ((model, state.model), (optimizer, state.optimizer), (scheduler, state.scheduler)):
            part.load_state_dict(values)

    def step_done(self) -> None:
        """Save the state if it is time."""
        if time.monotonic() >= self._due:
            self.save()

    def epoch_done(self, epoch: Epoch) -> None:
        """Record an epoch and save the state."""
        self.state.history.append(epoch)
        if best_epoch(self.state.history) == len(self.state.history) - 1:
            self.state.best = copy.deepcopy(self._model.state_dict())
        self.state.progress = Progress()
        self.save()

    def save(self) -> None:
        """Save the state, and schedule the next save so that saving takes at most 1/20 of the time."""
        started, state = time.monotonic(), self.state
        state.model, state.optimizer = self._model.state_dict(), self._optimizer.state_dict()
        state.scheduler = self._scheduler.state_dict()
        pending = state.progress.random
        if state.progress.steps and not pending:  # at the start of an epoch, fit() seeds the generators
            on_gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
            state.progress.random = [torch.get_rng_state(), *on_gpu]
        self._save(state)
        state.progress.random = pending
        finished = time.monotonic()
        self._due = finished + max(self._every, SAVE_PAUSE_FACTOR * (finished - started))

    @contextmanager
    def save_on_error(self) -> Iterator[None]:
        """Save the state if an error or Ctrl-C leaves the block between two steps."""
        try:
            yield
        except BaseException:
            if self.state.progress.between_steps:
                self.save()
            raise


def best_epoch(history: list[Epoch]) -> int:
    """Index of the best epoch on validation, the first of equals; 0 for an empty history."""
    return max(range(len(history)), key=lambda i: history[i].accuracy + history[i].macro_f1, default=0)
