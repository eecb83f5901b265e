"""Features for the fusion heads, from encoders that were not tuned on the same rows (cross-fitting).

A tuned text encoder is almost certain of the titles that it was tuned on. A head trained on such features learns to
trust the title and to ignore the picture, but on new products the title is less certain. So the training rows are
divided into parts. Encoders that were tuned on the other parts read each part (Wolpert 1992, "Stacked generalization").
Their features are mapped to those of the served encoders (:mod:`training.features.alignment`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.features.alignment import align_features
from training.features.batches import Features, join_features, select_features
from training.models import ProductClassifier
from training.run.context import Run

THIN_FORMS = 2
Towers = tuple[ProductClassifier, ProductClassifier]


def training_parts(split: pd.DataFrame, *, parts: int, seed: int) -> list[NDArray[np.int64]]:
    """Divide the training rows at random; a group stays in one part.

    Args:
        split: N rows with ``part`` and ``group``.
        parts: number of parts.
        seed: seed of the draw.

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
        run: the current run.
        image: the served picture tower.
        text: the served title tower.
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
