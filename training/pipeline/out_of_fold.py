"""What the two single models, and both together, say of training products whose labels they have not seen.

Cross-fitting (:mod:`training.pipeline.cross_fitting`) leaves encoders with heads that were fitted without one part of
the training rows each. What those answer of that part is as honest as an answer to a new product: it is what an audit
of the labels needs (``python -m client audit --run RUN``). The answers lie beside those to the validation and test
parts.
Legend: N training products, C classes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from training.features.batches import FeatureBatches, Features
from training.fit.loop import predict
from training.models import ProductClassifier
from training.models.head import Head
from training.models.late import LateFusion
from training.pipeline.cross_fitting import thin_forms
from training.pipeline.results import restore_frequencies
from training.run.context import Run
from training.scores.calibration import fit_temperature, fusion_weight
from training.system.storage import write_arrays

FILE = "out_of_fold.npz"
NAMES = ("image", "text", "late")


def write_out_of_fold(
    run: Run, folds: Sequence[tuple[NDArray[np.int64], ProductClassifier, ProductClassifier]]
) -> None:
    """Answer the training rows, each by the towers that have not seen it, and leave ``MODEL/out_of_fold.npz``.

    Args:
        run: under way; of late fusion nothing is left where it is not among the models.
        folds: rows with the image and the text tower that have not seen their labels.
    """
    rows = np.concatenate([part for part, *_ in folds])
    shown = tqdm(folds, desc="answers out of fold", unit="part", leave=False, disable=None)
    answers = [_answers(run, part, image, text) for part, image, text in shown]
    ids, targets = run.data.products["id"].to_numpy(dtype=str)[rows], run.data.targets[rows]
    for name in NAMES:
        if name != "late" or name in run.data.options.models:
            probabilities = np.concatenate([each[name] for each in answers])
            write_arrays(run.data.options.out / name / FILE, ids=ids, truth=targets, probabilities=probabilities)


def _answers(
    run: Run, rows: NDArray[np.int64], image: ProductClassifier, text: ProductClassifier
) -> dict[str, NDArray[np.float32]]:
    """Calibrated probabilities (n, C) of some rows by model; the validation part calibrates and weighs."""
    validation = run.data.rows("validation")
    own = run.features(image.image_encoder, text.text_encoder, rows=rows, more_titles=thin_forms(run, rows))
    others = run.features(image.image_encoder, text.text_encoder, rows=validation)
    heads = {"image": image.head, "text": text.head}
    for head in heads.values():
        restore_frequencies(run, head)
    logits = {name: (_logits(run, head, own), _logits(run, head, others)) for name, head in heads.items()}
    temperatures = {name: fit_temperature(logits[name][1], run.data.targets[validation]) for name in heads}
    calibrated = {name: softmax(logits[name][1] / temperatures[name], axis=1) for name in heads}
    late = LateFusion(
        image.head,
        text.head,
        image_weight=fusion_weight(calibrated["image"], calibrated["text"], run.data.targets[validation]),
        image_temperature=temperatures["image"],
        text_temperature=temperatures["text"],
        sizes=(len(run.data.labels), *run.data.sizes) if run.data.sizes else (),
    )
    return {
        **{name: softmax(logits[name][0] / temperatures[name], axis=1) for name in heads},
        "late": softmax(_logits(run, late, own), axis=1),
    }


def _logits(run: Run, head: Head, features: Features) -> NDArray[np.float32]:
    """(N, C) of the target; what the head says of further attributes is not audited."""
    logits, _ = predict(head, FeatureBatches(features, np.arange(len(features.targets))), device=run.device)
    return logits[:, : len(run.data.labels)]
