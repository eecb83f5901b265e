"""Write and read the files of a run folder. Each file appears complete or not at all."""

import csv
import dataclasses
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from handlers.product_serving.settings import ProductSettings
from training.fit.state import Epoch, FitState
from training.models import Encoders, ProductClassifier, build_classifier
from training.models.encoders import build_image_encoder, describe_text_encoder, empty_text_encoder
from training.models.lexical_encoder import LexicalEncoder
from training.system.rank import is_main_process
from training.system.storage import atomic_path, locked, warn, write_json, write_text


class RunError(ValueError):
    """A run folder that is missing, incomplete or of another run."""


def run_lock(folder: Path, *, wait: float = 10.0) -> AbstractContextManager[None]:
    """A context manager that locks a run folder against other training processes.

    Args:
        folder: folder of one or several runs; created if missing.
        wait: seconds to wait for another process to end. Workers of a killed process take some seconds to end.

    Raises:
        LockedError: another process trains into it.
        StorageError: the folder cannot be written to.
    """
    taken = f"another process is training into {folder}: wait for it, stop it, or choose another --out"
    return locked(folder / ".lock", taken=taken, wait=wait)


def write_history(path: Path, history: Iterable[Epoch]) -> None:
    """Write ``history.csv``: a line for each epoch."""
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Epoch)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(epoch) for epoch in history)


def save_fit_state(path: Path, state: FitState) -> None:
    """Write the state of an unfinished :func:`training.fit.loop.fit`.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    values = state.as_dict()
    needs = sum(tensor.nbytes for tensor in _tensors(values))
    with atomic_path(path, needs=needs) as partial, partial.open("wb") as file:
        torch.save(values, file)


def load_fit_state(path: Path) -> FitState | None:
    """Read the state that :func:`save_fit_state` wrote; None if the file is missing or damaged."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        try:
            if (wrong := zipfile.ZipFile(file).testzip()) is not None:  # which torch.load does not look at
                raise ValueError(f"{wrong} has another checksum")
            file.seek(0)
            return FitState.from_dict(torch.load(file, map_location="cpu", weights_only=True))
        except Exception as error:  # damaged bytes may raise any error
            reason = (str(error) or type(error).__name__).splitlines()[0]
            warn(f"{path} is damaged ({reason}): {path.stem} starts again")
            return None


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested dicts and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights as safetensors."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path, needs=sum(tensor.nbytes for tensor in weights.values())) as partial:
        save_file(weights, partial)


def save_model(
    folder: Path, model: ProductClassifier, *, settings: ProductSettings, image_encoder: str, tokenizer: str
) -> None:
    """Write a trained model. ``settings.json`` is written last, so its presence means that the model is complete.

    Args:
        folder: the model's folder in a run.
        model: on any device.
        image_encoder: name in ``IMAGE_ENCODERS``.
        tokenizer: content of ``tokenizer.json``.
    """
    architecture = {
        "head": settings.model,
        "image_encoder": None if model.image_encoder is None else image_encoder,
        "image_width": 0 if model.image_encoder is None else model.image_encoder.width,
        "lexical_width": 0 if model.lexical_encoder is None else model.lexical_encoder.width,
        "text_encoder": None if model.text_encoder is None else describe_text_encoder(model.text_encoder),
    }
    if not is_main_process():
        return
    (folder / "settings.json").unlink(missing_ok=True)
    save_weights(folder / "model.safetensors", model)
    write_json(folder / "architecture.json", architecture)
    write_text(folder / "tokenizer.json", tokenizer)
    write_text(folder / "settings.json", settings.to_json())


def load_model(folder: Path) -> tuple[ProductClassifier, ProductSettings]:
    """Read the model that :func:`save_model` wrote, on the CPU, in evaluation mode.

    Raises:
        RunError: the folder holds no complete model, or one of another version of this package.
    """
    if not (folder / "settings.json").is_file():
        raise RunError(
            f"{folder} holds no complete model (no settings.json): run `python -m training train` to the end"
        )
    try:
        settings = ProductSettings.from_json(folder / "settings.json")
    except (ValueError, TypeError) as error:
        raise RunError(f"{folder}: {error}; train the run again") from error
    architecture = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    image_encoder = architecture["image_encoder"] and build_image_encoder(architecture["image_encoder"], "none")
    text_encoder = architecture["text_encoder"] and empty_text_encoder(architecture["text_encoder"])
    lexical_width = architecture.get("lexical_width", 0)
    encoders = Encoders(image_encoder, text_encoder, LexicalEncoder(lexical_width) if lexical_width else None)
    model = build_classifier(architecture["head"], encoders, sizes=settings.sizes)
    weights = load_file(folder / "model.safetensors")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(
            f"{folder} holds weights of another shape than this version's {settings.model} model: train the run again, "
            "or use the version that trained it"
        ) from error
    return model.eval(), settings
