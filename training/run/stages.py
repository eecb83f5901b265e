"""The fits of a run: a finished fit is read from its file, an interrupted one continues from its last state."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from training.fit.loop import Epoch, FitState, fit
from training.run.checkpoint import load_fit_state, save_fit_state, save_weights
from training.system.processes import main_first
from training.system.rank import is_main_process, process_count
from training.system.storage import warn, write_json

SAVE_EVERY = 180.0  # seconds between saved states: a killed process loses no more


class Stages:
    """The fits of one run.

    Args:
        folder: folder for their results and states.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fit(self, model: nn.Module, *, stage: str, together: bool = False, **arguments: Any) -> list[Epoch]:
        """Fit a model as :func:`training.fit.loop.fit`, or load the weights of the finished fit.

        Args:
            model: the initial model; it ends with the fitted weights.
            together: True: all processes of a multi-process run fit together; False: only the main process fits.
            arguments: further arguments of :func:`training.fit.loop.fit`.

        Returns:
            One entry for each epoch.
        """
        if together and process_count() > 1 and self._finished(model, stage) is None:
            self._fit(model, stage, together=True, **arguments)
        with main_first():
            history = self._finished(model, stage)
            return self._fit(model, stage, **arguments) if history is None else history

    def _fit(self, model: nn.Module, stage: str, **arguments: Any) -> list[Epoch]:
        unfinished = self.folder / f"{stage}.state"

        def keep(state: FitState) -> None:
            if is_main_process():
                save_fit_state(unfinished, state)

        state = load_fit_state(unfinished)
        history = fit(model, stage=stage, state=state, after_epoch=keep, save_every=SAVE_EVERY, **arguments)
        if is_main_process():
            write_json(self._history(stage), [dataclasses.asdict(epoch) for epoch in history])
            save_weights(self._weights(stage), model)
            unfinished.unlink(missing_ok=True)
        return history

    def _finished(self, model: nn.Module, stage: str) -> list[Epoch] | None:
        """Load the weights of a finished fit into the model and return its epochs; None if missing or damaged."""
        weights = self._weights(stage)
        if not weights.exists():
            return None
        try:
            history = [Epoch(**epoch) for epoch in json.loads(self._history(stage).read_text(encoding="utf-8"))]
            fitted = load_file(weights)
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            warn(f"{weights} or its .json is damaged ({error}): {stage} is fitted again")
            return None
        model.load_state_dict(fitted)  # only after all reads: a repeated fit starts from the unchanged model
        return history

    def _weights(self, stage: str) -> Path:
        return self.folder / f"{stage}.safetensors"

    def _history(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"
