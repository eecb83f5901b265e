"""Group the models of a run by the towers that they share, so that each tower reads a picture or title only once.

Legend: B batch, N products, M models, C classes.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import ProductSettings
from training.features.batches import FeatureBatches, Features
from training.features.extraction import weights_sha256
from training.fit.loop import predict
from training.models import Encoders, ProductClassifier
from training.pipeline.results import served_scores
from training.run.checkpoint import load_model
from training.system.device import Device


class HeadsTogether(nn.Module):
    """Several heads on the same features, as one module.

    Args:
        heads: M heads.
    """

    def __init__(self, heads: Iterable[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, *features: Tensor) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, M, C) float32."""
        return torch.stack([head(*features).float() for head in self.heads], dim=1)


@dataclasses.dataclass(frozen=True)
class ModelGroup:
    """Models that read the same features.

    Args:
        encoders: the towers; None for one that no model reads.
        heads: M heads.
        settings: settings of each model by name, in the order of the heads.
    """

    encoders: Encoders
    heads: HeadsTogether
    settings: dict[str, ProductSettings]
    preprocessor: ProductPreprocessor

    def scores(self, features: Features, *, device: Device) -> dict[str, NDArray[np.float32]]:
        """Calibrated probabilities (N, C) of each model. The classes of all attributes follow each other."""
        rows = np.arange(len(features.targets))
        logits, _ = predict(self.heads, FeatureBatches(features, rows), device=device)  # (N, M, C)
        return {
            name: served_scores(np.ascontiguousarray(logits[:, number]), features.present, settings)
            for number, (name, settings) in enumerate(self.settings.items())
        }


class _Loaded(NamedTuple):
    name: str
    model: ProductClassifier
    settings: ProductSettings
    towers: tuple[str, ...]


def load_groups(run: Path, names: Sequence[str]) -> list[ModelGroup]:
    """Load models and group those whose towers have equal weights. A single model joins a group that has its tower.

    Raises:
        RunError: a model is not complete.
    """
    loaded = []
    for name in names:
        model, settings = load_model(run / name)
        towers = tuple("" if encoder is None else weights_sha256(encoder) for encoder in model.encoders)
        loaded.append(_Loaded(name, model, settings, towers))
    groups: list[list[_Loaded]] = []
    # Models with all towers first: a single model then finds the group whose tower it has.
    for each in sorted(loaded, key=lambda loaded: loaded.towers.count("")):
        fitting = (group for group in groups if _fits(each.towers, group[0].towers))
        if (found := next(fitting, None)) is None:
            groups.append([each])
        else:
            found.append(each)
    return [
        ModelGroup(
            first.model.encoders,
            HeadsTogether(each.model.head for each in (first, *others)),
            {each.name: each.settings for each in (first, *others)},
            ProductPreprocessor(first.settings, run / first.name / "tokenizer.json"),
        )
        for first, *others in groups
    ]


def _fits(towers: tuple[str, ...], shared: tuple[str, ...]) -> bool:
    return all(own in ("", other) for own, other in zip(towers, shared, strict=True))
