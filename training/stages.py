"""Fits that remember: a finished one is read back, an interrupted one goes on after its last epoch."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from training.checkpoint import atomic_path, load_fit_state, save_fit_state, write_json
from training.loop import Epoch, fit


class Stages:
    """The fits of one run.

    Args:
        folder: where their results and states are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fit(self, model: nn.Module, *, stage: str, **arguments: Any) -> list[Epoch]:
        """As :func:`training.loop.fit`, once; the model ends with the fitted weights either way.

        Args:
            model: in the state that the fit starts from.
            stage: names the files.
            arguments: of :func:`training.loop.fit`.

        Returns:
            One entry an epoch.
        """
        weights, history_file = self.folder / f"{stage}.safetensors", self.folder / f"{stage}.json"
        if weights.exists():
            model.load_state_dict(load_file(weights))
            return [Epoch(**epoch) for epoch in json.loads(history_file.read_text(encoding="utf-8"))]
        unfinished = self.folder / f"{stage}.state"
        history = fit(
            model,
            stage=stage,
            state=load_fit_state(unfinished),
            after_epoch=lambda state: save_fit_state(unfinished, state),
            **arguments,
        )
        write_json(history_file, [dataclasses.asdict(epoch) for epoch in history])
        with atomic_path(weights) as partial:
            save_file({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}, partial)
        unfinished.unlink(missing_ok=True)
        return history
