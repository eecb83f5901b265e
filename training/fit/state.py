"""How far a fit has come: its history, its weights, and its place within an epoch."""

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

SAVE_PAUSE_FACTOR = 20  # times as long as keeping a state takes pass before the next one within an epoch


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch came to: a line of ``history.csv``.

    Args:
        stage: what was trained.
        epoch: from 1.
        loss: mean training loss.
        accuracy: on validation; of several attributes their mean.
        macro_f1: likewise.
        seconds: of training and validation together.
        products_per_second: of training, by all processes together.
        gpu_busy: share of the training time in which the main process's GPU had a step's work, 0..1; see
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
    """How far the epoch under way has come.

    Args:
        steps: done.
        products: in them.
        loss: () float64, summed over those products.
        seconds: that they took.
        random: states of the generators (CPU, then CUDA) to begin the next step with; none leaves them as they are.
        between_steps: False while a step is under way: weights and numbers may then belong to different steps.
    """

    steps: int = 0
    products: int = 0
    loss: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    random: list[Tensor] = dataclasses.field(default_factory=list)
    between_steps: bool = True

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step: with its numbers it counts as done, or it was never whole."""
        for state, put in zip(self.random, (torch.set_rng_state, torch.cuda.set_rng_state), strict=False):
            put(state)
        self.random = []
        self.between_steps = False
        yield
        self.steps += 1
        self.between_steps = True


@dataclasses.dataclass
class FitState:
    """Everything a later call of :func:`training.fit.loop.fit` needs to go on as if it had never stopped.

    Args:
        history: the epochs done.
        model: the current weights.
        optimizer: its state.
        scheduler: its state.
        best: the weights of the best epoch.
        progress: in the epoch after those of ``history``.
    """

    history: list[Epoch]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    best: dict[str, Tensor]
    progress: Progress = dataclasses.field(default_factory=Progress)

    def as_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dicts; the tensors are those of the fit, not copies."""
        history, progress = [dataclasses.asdict(epoch) for epoch in self.history], vars(self.progress)
        return {**vars(self), "history": history, "progress": progress}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "FitState":
        """What :meth:`as_dict` gave."""
        history, progress = [Epoch(**epoch) for epoch in values["history"]], Progress(**values.get("progress", {}))
        return cls(**{**values, "history": history, "progress": progress})


class Checkpointer:
    """What is being fitted, and when its state is handed on to be kept.

    Args:
        state: where to begin; None begins anew.
        model: takes the state's weights.
        optimizer: likewise.
        scheduler: likewise.
        keep: is handed the state.
        every: seconds between two states within an epoch; more where keeping one takes long.
    """

    def __init__(
        self,
        state: FitState | None,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        *,
        keep: Callable[[FitState], None],
        every: float,
    ) -> None:
        self._model, self._optimizer, self._scheduler = model, optimizer, scheduler
        self._keep = keep
        self._every = every
        self._due = time.monotonic() + every
        if state is None:
            self.state = FitState([], {}, {}, {}, copy.deepcopy(model.state_dict()))
            return
        self.state = state
        for part, values in ((model, state.model), (optimizer, state.optimizer), (scheduler, state.scheduler)):
            part.load_state_dict(values)

    def step_done(self) -> None:
        """Hand the state on if it is time."""
        if time.monotonic() >= self._due:
            self.keep()

    def epoch_done(self, epoch: Epoch) -> None:
        """Begin the next epoch, and hand the state on."""
        self.state.history.append(epoch)
        if best_epoch(self.state.history) == len(self.state.history) - 1:
            self.state.best = copy.deepcopy(self._model.state_dict())
        self.state.progress = Progress()
        self.keep()

    def keep(self) -> None:
        """Hand the state on; at most a twentieth of the time goes into this."""
        started, state = time.monotonic(), self.state
        state.model, state.optimizer = self._model.state_dict(), self._optimizer.state_dict()
        state.scheduler = self._scheduler.state_dict()
        pending = state.progress.random
        if state.progress.steps and not pending:  # an epoch that has not begun seeds its generators itself
            state.progress.random = _generators()
        self._keep(state)
        state.progress.random = pending
        finished = time.monotonic()
        self._due = finished + max(self._every, SAVE_PAUSE_FACTOR * (finished - started))

    @contextmanager
    def keep_on_error(self) -> Iterator[None]:
        """Hand the state on before an error, or Ctrl-C, that came between two steps goes on its way."""
        try:
            yield
        except BaseException:
            if self.state.progress.between_steps:
                self.keep()
            raise


def best_epoch(history: list[Epoch]) -> int:
    """Index of the best epoch on validation, the earliest of equals; 0 before the first."""
    return max(range(len(history)), key=lambda i: history[i].accuracy + history[i].macro_f1, default=0)


def _generators() -> list[Tensor]:
    on_gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *on_gpu]
