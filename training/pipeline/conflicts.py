"""Find products whose picture and title belong to different products: fit the threshold, and measure it.

Legend: N products with picture and title.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.product_serving.settings import MODALITIES
from training.features.batches import FeatureBatches, Features
from training.fit.loop import predict
from training.models.agreement import log_agreement
from training.models.head import TOWERS, Head
from training.run.context import Run

# Share of true pairs that are flagged on the validation part. On new products it is larger: the threshold was chosen
# here, and the encoders' rates too. The aim is at most 0.02 there.
FALSE_ALARMS = 0.015
LEAST_PAIRS = 20


class Conflict(NamedTuple):
    """The threshold of a fusion and what it does on the test part.

    Args:
        threshold: picture and title are in conflict below this agreement.
        pairs: number of test products with picture and title.
        false_alarms: share of these that are flagged.
        flagged: share that is flagged if each gets the title of another one.
        flagged_classes: the same among those that get the title of another class.
    """

    threshold: float
    pairs: int
    false_alarms: float
    flagged: float
    flagged_classes: float


def fit_conflict(run: Run, head: Head, features: Features) -> Conflict | None:
    """Fit the threshold on the validation part; None for a model of one modality, or with too few pairs to tell.

    Args:
        head: trained.
        features: from :meth:`training.run.context.Run.held_out_features`.
    """
    if {TOWERS[tower] for tower in head.towers} != set(MODALITIES):
        return None
    validation, test = (_whole(run, features, part) for part in ("validation", "test"))
    if min(len(validation), len(test)) < LEAST_PAIRS:
        return None
    threshold = float(np.quantile(_agreements(run, head, features, validation), FALSE_ALARMS))
    others = _derangement(len(test), seed=run.data.options.seed)
    exchanged = _agreements(run, head, _with_titles_of(features, test, test[others]), test) < threshold
    classes = features.targets[test, 0]
    other_class = classes != classes[others]
    return Conflict(
        threshold,
        len(test),
        float((_agreements(run, head, features, test) < threshold).mean()),
        float(exchanged.mean()),
        float(exchanged[other_class].mean()) if other_class.any() else 0.0,
    )


class _Agreement(nn.Module):
    """A fusion's head as a model with one output, the agreement of picture and title: (B, 1)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, *features: Tensor) -> Tensor:
        return log_agreement(self.head.single_answers(*features), self.head.sizes[0])[:, None]


def _agreements(run: Run, head: Head, features: Features, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    with torch.no_grad():
        answers, _ = predict(_Agreement(head), FeatureBatches(features, rows), device=run.device)
    return answers[:, 0].astype(np.float64)


def _whole(run: Run, features: Features, part: str) -> NDArray[np.int64]:
    """The rows, among the held-out products, of a part's products with both modalities."""
    rows = np.searchsorted(run.data.held_out, run.data.rows(part))
    return rows[features.present[rows].all(axis=1)]


def _derangement(count: int, *, seed: int) -> NDArray[np.int64]:
    """A random order in which nothing stays in its place."""
    order = np.random.default_rng(seed).permutation(count)
    places = np.empty(count, dtype=np.int64)
    places[order] = np.roll(order, 1)
    return places


def _with_titles_of(features: Features, rows: NDArray[np.int64], others: NDArray[np.int64]) -> Features:
    """Features in which some rows have the titles of others."""
    changed = {}
    for name in ("starts", "lengths", "titles"):
        array = getattr(features, name).copy()
        array[:, rows] = array[:, others]
        changed[name] = array
    return dataclasses.replace(features, **changed)
