"""Features for the fusion heads from encoders that were not tuned on those very rows.

A tuned text encoder is all but certain of the titles it was tuned on. A head that learns from such features learns to
trust the title and to leave the picture aside; on new products the title is less sure. So the training rows are
divided, and each part is read by encoders that were tuned on the others (cross-fitting; Wolpert 1992, "Stacked
generalization"), and what those say is mapped to what the served encoders would (:mod:`training.features.alignment`).
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
    """Divide the training rows at random, groups kept whole.

    Args:
        split: N rows with ``part`` and ``group``.
        parts: how many.
        seed: of the draw.

    Returns:
        Row numbers, each training row in one part.
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
    """Features of all products: training rows as their fold's encoders read them, the others as those that are served.

    Args:
        run: under way.
        image: the tower that is served.
        text: the tower that is served.
        folds: rows with the towers that read them; none has the served towers read the training rows too.
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
    """What a fold's towers say of its rows, as the served ones would; the validation part shows how they differ."""
    validation = run.data.rows("validation")
    image, text = towers
    return align_features(
        _read(run, rows, image, text),
        source=run.features(image.image_encoder, text.text_encoder, rows=validation),
        target=select_features(held_out, np.searchsorted(run.data.held_out, validation)),
        folder=run.data.options.out / "features",
    )


def thin_forms(run: Run, rows: NDArray[np.int64]) -> list[list[str]]:
    """Thinned forms of the titles of some rows, the same in every call; none where titles are not thinned."""
    options, titles = run.data.options, run.data.products["text"].to_numpy(dtype=object)
    if not options.thin_titles:
        return []
    return [
        [run.data.thinner(titles[row], np.random.default_rng((options.seed, form, int(row)))) for row in rows]
        for form in range(1, THIN_FORMS + 1)
    ]
