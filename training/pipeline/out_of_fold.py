"""Out-of-fold answers: answers to training products from models that were not trained on them.

Cross-fitting (:mod:`training.pipeline.cross_fitting`) trains towers with heads on all parts of the training rows but
one. Their answers to that part are like answers to new products. An audit of the labels needs them
(``python -m client audit --run RUN``).
Legend: N training products, A attributes, C classes of all attributes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlers.product_serving.hierarchy import attribute_log_scores
from handlers.product_serving.settings import ProductSettings
from training.features.batches import FeatureBatches, Features
from training.fit.loop import predict
from training.models import HEADS, ProductClassifier
from training.models.head import Head
from training.pipeline.cross_fitting import thin_forms
from training.pipeline.fusions import weighed_head
from training.pipeline.results import restore_frequencies
from training.run.context import Run
from training.scores.calibration import fitted_settings
from training.system.storage import write_arrays

OUT_OF_FOLD_FILE = "out_of_fold.npz"


def write_out_of_fold(
    run: Run, folds: Sequence[tuple[NDArray[np.int64], ProductClassifier, ProductClassifier]]
) -> None:
    """Answer each training row with the towers that were not trained on it; write ``MODEL/out_of_fold.npz``.

    Args:
        run: the current run.
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
    fitted = [_probabilities(*pair) for pair in zip(known, (by_image, by_text), strict=True)]
    models = {"image": (image.head, by_image), "text": (text.head, by_text)}
    for name in run.data.options.models:
        if HEADS[name].from_validation:
            fusion = weighed_head(name, heads, (by_image, by_text), (fitted[0], fitted[1]), truth)
            models[name] = fusion, run.data.settings
    return {name: _probabilities(_logits(run, head, own), settings) for name, (head, settings) in models.items()}


def _probabilities(logits: NDArray[np.float32], settings: ProductSettings) -> NDArray[np.float32]:
    """Logits (N, C) -> probabilities (N, C), each attribute's from its own logits."""
    return np.exp(attribute_log_scores(logits.astype(np.float64), settings)).astype(np.float32)


def _logits(run: Run, head: Head, features: Features) -> NDArray[np.float32]:
    """Logits (N, C) of all products in ``features``."""
    return predict(head, FeatureBatches(features, np.arange(len(features.targets))), device=run.device)[0]
