"""Features for the fusion heads, from encoders that were not tuned on the same rows (cross-fitting).

A tuned text encoder is almost certain of the titles that it was tuned on. A head trained on such features learns to
trust the title and to ignore the picture, but on new products the title is less certain. So the training rows are
divided into parts. Encoders that were tuned on the other parts read each part (Wolpert 1992, "Stacked generalization").
Their features are mapped to those of the served encoders (:mod:`training.features.alignment`).

The towers' answers to the part that they were not trained on are like answers to new products. An audit of the labels
needs them (``python -m client audit --run RUN``).
Legend: N training products, A attributes, C classes of all attributes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from training.features.alignment import align_features
from training.features.batches import FeatureBatches, Features, join_features, select_features
from training.fit.loop import predict
from training.models import HEADS, ProductClassifier
from training.models.head import Head
from training.pipeline.fusions import weighed_head
from training.pipeline.results import own_scores, restore_frequencies
from training.run.context import Run
from training.scores.calibration import fitted_settings
from training.system.storage import write_arrays

OUT_OF_FOLD_FILE = "out_of_fold.npz"
THIN_FORMS = 2
Towers = tuple[ProductClassifier, ProductClassifier]


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


def fusion_features(
    run: Run,
    image: ProductClassifier,
    text: ProductClassifier,
    folds: Sequence[tuple[NDArray[np.int64], ProductClassifier, ProductClassifier]],
) -> Features:
    """Features of all products: training rows from the towers of their fold, the others from the served towers.

    Args:
        folds: row numbers with the towers that read them; if empty, the served towers read all products.
    """
    held_out = _read(run, run.data.held_out, image, text)
    if folds:
        pieces = [(rows, _aligned(run, rows, (one, other), held_out)) for rows, one, other in folds]
    else:
        pieces = [(rows := run.data.rows("train"), _read(run, rows, image, text))]
    return join_features([*pieces, (run.data.held_out, held_out)], count=len(run.data.products))


def _read(run: Run, rows: NDArray[np.int64], image: ProductClassifier, text: ProductClassifier) -> Features:
    return run.features(image.image_encoder, text.text_encoder, rows=rows, more_titles=thin_forms(run, rows))


def _aligned(run: Run, rows: NDArray[np.int64], towers: Towers, held_out: Features) -> Features:
    """Features of a fold's rows, mapped to those of the served towers; the validation part fits the map."""
    validation = run.data.rows("validation")
    image, text = towers
    return align_features(
        _read(run, rows, image, text),
        source=run.features(image.image_encoder, text.text_encoder, rows=validation),
        target=select_features(held_out, np.searchsorted(run.data.held_out, validation)),
        folder=run.data.options.out / "features",
    )


def thin_forms(run: Run, rows: NDArray[np.int64]) -> list[list[str]]:
    """Thinned forms of some rows' titles, the same in every call; empty if titles are not thinned."""
    options, titles = run.data.options, run.data.products["text"].to_numpy(dtype=object)
    if not options.thin_titles:
        return []
    return [
        [run.data.thinner(titles[row], np.random.default_rng((options.seed, form, int(row)))) for row in rows]
        for form in range(1, THIN_FORMS + 1)
    ]


def write_out_of_fold(
    run: Run, folds: Sequence[tuple[NDArray[np.int64], ProductClassifier, ProductClassifier]]
) -> None:
    """Answer each training row with the towers that were not trained on it; write ``MODEL/out_of_fold.npz``.

    Args:
        folds: row numbers with the image and the text tower that were not trained on them.
    """
    rows = np.concatenate([part for part, *_ in folds])
    progress = tqdm(folds, desc="answers out of fold", unit="part", leave=False, disable=None)
    answers = [_answers(run, part, image, text) for part, image, text in progress]
    ids, targets = run.data.products["id"].to_numpy(dtype=str)[rows], run.data.targets[rows]
    for name in answers[0]:
        probabilities = np.concatenate([each[name] for each in answers])
        write_arrays(
            run.data.options.out / name / OUT_OF_FOLD_FILE, ids=ids, truth=targets, probabilities=probabilities
        )


def _answers(
    run: Run, rows: NDArray[np.int64], image: ProductClassifier, text: ProductClassifier
) -> dict[str, NDArray[np.float32]]:
    """Calibrated probabilities (n, C) of some rows by model. The validation part fits temperatures and weights."""
    validation = run.data.rows("validation")
    own = run.features(image.image_encoder, text.text_encoder, rows=rows, more_titles=thin_forms(run, rows))
    others = run.features(image.image_encoder, text.text_encoder, rows=validation)
    heads, truth = (image.head, text.head), run.data.targets[validation]
    for head in heads:
        restore_frequencies(run, head)
    known = [_logits(run, head, others) for head in heads]
    by_image, by_text = (fitted_settings(logits, truth, run.data.settings) for logits in known)
    fitted = [own_scores(*pair) for pair in zip(known, (by_image, by_text), strict=True)]
    models = {"image": (image.head, by_image), "text": (text.head, by_text)}
    for name in run.data.options.models:
        if HEADS[name].from_validation:
            fusion = weighed_head(name, heads, (by_image, by_text), (fitted[0], fitted[1]), truth)
            models[name] = fusion, run.data.settings
    return {name: own_scores(_logits(run, head, own), settings) for name, (head, settings) in models.items()}


def _logits(run: Run, head: Head, features: Features) -> NDArray[np.float32]:
    """Logits (N, C) of all products in ``features``."""
    return predict(head, FeatureBatches(features, np.arange(len(features.targets))), device=run.device)[0]
