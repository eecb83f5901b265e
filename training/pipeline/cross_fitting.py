"""Features for the fusion heads, from encoders that were not tuned on the same rows (cross-fitting).

A tuned text encoder is almost certain of the titles that it was tuned on. A head trained on such features learns to
trust the title and to ignore the picture, but on new products the title is less certain. So the training rows are
divided into parts. Encoders that were tuned on the other parts read each part (Wolpert 1992, "Stacked generalization").
Their features are mapped to those of the served encoders (:mod:`training.features.alignment`).

The towers' answers to the part that they were not trained on are like answers to new products. An audit of the labels
needs them (``python -m client audit --run RUN``).
Legend: N training products, A attributes, C classes of all attributes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.features.alignment import align_features
from training.features.batches import FeatureBatches, Features, JoinedRows, join_features, select_features
from training.fit.loop import predict
from training.models import HEADS, Encoders, ProductClassifier, joined_encoders
from training.models.head import Head
from training.pipeline.fusions import Answered, weighed_head
from training.pipeline.results import own_scores, restore_frequencies
from training.run.context import Run
from training.scores.calibration import fitted_settings
from training.system.progress import progress
from training.system.storage import write_arrays

OUT_OF_FOLD_FILE = "out_of_fold.npz"


def training_parts(split: pd.DataFrame, *, parts: int, seed: int) -> list[NDArray[np.int64]]:
    """Divide the training rows at random; a group stays in one part.

    Args:
        split: N rows with ``part`` and ``group``.

    Returns:
        The row numbers of each part.
    """
    train = np.flatnonzero(split["part"] == "train")
    names, groups = np.unique(split["group"].to_numpy()[train], return_inverse=True)
    part_of = np.random.default_rng(seed).permutation(len(names)) % parts
    return [train[part_of[groups] == number] for number in range(parts)]


class Fold(NamedTuple):
    """A part of the training rows with the towers that were not trained on it.

    Args:
        rows: row numbers.
        models: single models, by tower.
    """

    rows: NDArray[np.int64]
    models: Mapping[str, ProductClassifier]

    @property
    def encoders(self) -> Encoders:
        """The encoders of all towers."""
        return joined_encoders(self.models)


def fusion_features(run: Run, encoders: Encoders, folds: Sequence[Fold]) -> Features:
    """Features of all products: training rows from the towers of their fold, the others from the served towers.

    Args:
        encoders: of the served towers.
        folds: if empty, the served towers read all products.
    """
    held_out = _read(run, run.data.held_out, encoders)
    if folds:
        pieces = [(fold.rows, _aligned(run, fold, held_out)) for fold in folds]
    else:
        pieces = [(rows := run.data.rows("train"), _to_learn_from(run, rows, encoders))]
    return join_features([*pieces, (run.data.held_out, held_out)], count=len(run.data.products))


def _read(run: Run, rows: NDArray[np.int64], encoders: Encoders) -> Features:
    return run.features(encoders, rows=rows, more_titles=run.damaged_forms(rows))


def _to_learn_from(run: Run, rows: NDArray[np.int64], encoders: Encoders) -> Features:
    """Features of training rows, with the pictures of some of them damaged."""
    features = _read(run, rows, encoders)
    drawn = (
        np.random.default_rng((run.data.options.seed, int(rows[0]))).random(len(rows))
        < run.data.options.damage_pictures
    )
    chosen = np.flatnonzero(drawn & features.present[:, 0])
    if encoders.image is None or not len(chosen):
        return features
    damaged = run.damaged_picture_features(encoders.image, rows[chosen])
    which, at = np.zeros(len(rows), dtype=np.int64), np.arange(len(rows))
    which[chosen], at[chosen] = 1, np.arange(len(chosen))
    image = JoinedRows([np.asarray(features.image), np.asarray(damaged.image)], which, at)
    return dataclasses.replace(features, image=image)


def _aligned(run: Run, fold: Fold, held_out: Features) -> Features:
    """Features of a fold's rows, mapped to those of the served towers; the validation part fits the map."""
    validation = run.data.rows("validation")
    return align_features(
        _to_learn_from(run, fold.rows, fold.encoders),
        source=run.features(fold.encoders, rows=validation),
        target=select_features(held_out, np.searchsorted(run.data.held_out, validation)),
        folder=run.data.options.out / "features",
    )


def write_out_of_fold(run: Run, folds: Sequence[Fold]) -> None:
    """Answer each training row with the towers that were not trained on it; write ``MODEL/out_of_fold.npz``."""
    rows = np.concatenate([fold.rows for fold in folds])
    answers = [_answers(run, fold) for fold in progress(folds, description="answers out of fold", unit="part")]
    ids, targets = run.data.products["id"].to_numpy(dtype=str)[rows], run.data.targets[rows]
    for name in answers[0]:
        probabilities = np.concatenate([each[name] for each in answers])
        write_arrays(
            run.data.options.out / name / OUT_OF_FOLD_FILE, ids=ids, truth=targets, probabilities=probabilities
        )


def _answers(run: Run, fold: Fold) -> dict[str, NDArray[np.float32]]:
    """Calibrated probabilities (n, C) of a fold's rows by model. The validation part fits temperatures and weights."""
    validation = run.data.rows("validation")
    own, others = _read(run, fold.rows, fold.encoders), run.features(fold.encoders, rows=validation)
    truth = run.data.targets[validation]
    answered, models = {}, {}
    for name, model in fold.models.items():
        restore_frequencies(run, model.head)
        logits = _logits(run, model.head, others)
        settings = fitted_settings(logits, truth, run.data.settings)
        models[name] = (model.head, settings)
        answered[name] = Answered(model.head, settings, own_scores(logits, settings))
    for name in run.data.options.models:
        if HEADS[name].from_validation:
            models[name] = weighed_head(name, answered, truth), run.data.settings
    return {name: own_scores(_logits(run, head, own), settings) for name, (head, settings) in models.items()}


def _logits(run: Run, head: Head, features: Features) -> NDArray[np.float32]:
    """Logits (N, C) of all products in ``features``."""
    return predict(head, FeatureBatches(features, np.arange(len(features.targets))), device=run.device)[0]
