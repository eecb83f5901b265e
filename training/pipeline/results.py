"""From a trained model to its folder in the run: calibrated answers, metrics, weights, settings."""

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.product_serving.calibration import calibrated_scores
from handlers.product_serving.hierarchy import head_log_scores
from handlers.product_serving.settings import MODALITIES, ProductSettings
from training.data.attributes import MISSING
from training.data.dataset import balanced_weights
from training.features.batches import FeatureBatches, Features
from training.fit.loop import Epoch, predict
from training.models import HEADS, ProductClassifier
from training.models.head import Head
from training.run.checkpoint import save_model, write_history
from training.run.context import Run
from training.scores.attribute_metrics import summarize_attributes
from training.scores.calibration import fitted_settings, frequency_shift, one_sided
from training.scores.metrics import summarize
from training.system.storage import write_arrays

Answers = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A model's calibrated answers; the classes of several attributes follow each other in C.

    Args:
        settings: with what was fitted on validation: temperatures, and confidences at which the precision reaches the
            target.
        validation: (N, C) probabilities.
        validation_alone: (N, C), each attribute's by its own logits; where no attribute follows from another, the same.
        validation_truth: (N,) classes, or (N, A) of several attributes.
        validation_whole: (N,) whether a product has all sides that the catalogue has.
        test: (M, C) probabilities.
        test_truth: (M,) classes, or (M, A).
    """

    settings: ProductSettings
    validation: NDArray[np.float32]
    validation_alone: NDArray[np.float32]
    validation_truth: NDArray[np.int64]
    validation_whole: NDArray[np.bool_]
    test: NDArray[np.float32]
    test_truth: NDArray[np.int64]


def restore_frequencies(run: Run, head: Head) -> None:
    """Let a head that was trained on balanced batches answer with the classes' true frequencies."""
    _shift_logits(run, head, sign=1)


def as_trained(run: Run, head: Head) -> Head:
    """A copy of a head as it was before :func:`restore_frequencies`."""
    copied = copy.deepcopy(head)
    _shift_logits(run, copied, sign=-1)
    return copied


@torch.no_grad()
def _shift_logits(run: Run, head: Head, *, sign: int) -> None:
    if (bias := head.output_bias()) is None:
        return
    targets = run.data.all_targets[run.data.rows("train")]
    columns = targets.reshape(len(targets), -1).T
    weights = balanced_weights(targets)
    shift = sign * np.concatenate(
        [
            frequency_shift(classes[there], weights[there], classes=len(attribute.labels))
            for attribute, classes in zip(run.data.heads, columns, strict=True)
            for there in [classes != MISSING]
        ]
    )
    bias.add_(torch.as_tensor(shift, dtype=bias.dtype, device=bias.device))


def calibrate(run: Run, name: str, classifier: ProductClassifier, features: Features) -> Calibrated:
    """Answer validation and test; fit temperatures and review thresholds on validation, each on what it is served for.

    Args:
        run: under way.
        classifier: its head answers.
        name: of the model.
        features: as from :meth:`training.run.context.Run.held_out_features`.
    """
    settings = dataclasses.replace(
        run.data.preprocessor.settings,
        model=name,
        modalities=HEADS[name].modalities,
        hierarchies=run.data.hierarchies,
    )

    validation, test = (np.searchsorted(run.data.held_out, run.data.rows(part)) for part in ("validation", "test"))

    def answers(places: NDArray[np.int64], *, hidden: NDArray[np.bool_] | None = None) -> Answers:
        return predict(classifier.head, FeatureBatches(features, places, hidden=hidden), device=run.device)

    (logits, truth), (test_logits, test_truth) = answers(validation), answers(test)
    reads = [MODALITIES.index(modality) for modality in settings.modalities]
    complete = features.present[validation][:, reads].all(axis=1)
    fitted = fitted_settings(*answers(validation[complete] if complete.any() else validation), settings)
    sides = []
    for side, modality in enumerate(MODALITIES):
        places = validation[features.present[validation, side]]
        if len(settings.modalities) > 1 and len(places):
            by_side = answers(places, hidden=np.arange(len(MODALITIES)) != side)
            sides.append(one_sided(fitted_settings(*by_side, fitted), modality=modality))
    fitted = dataclasses.replace(fitted, one_sided=tuple(sides))
    return Calibrated(
        fitted,
        served_scores(logits, features.present[validation], fitted),
        np.exp(head_log_scores(logits.astype(np.float64), fitted)).astype(np.float32),
        truth,
        np.asarray(features.present[validation].all(axis=1), dtype=np.bool_),
        served_scores(test_logits, features.present[test], fitted),
        test_truth,
    )


def served_scores(
    logits: NDArray[np.float32], present: NDArray[np.bool_], settings: ProductSettings
) -> NDArray[np.float32]:
    """(N, C) logits, (N, 2) -> (N, C): probabilities as served."""
    return calibrated_scores(logits.astype(np.float64), present, settings).astype(np.float32)


def write_result(
    run: Run, name: str, classifier: ProductClassifier, answers: Calibrated, history: list[Epoch]
) -> dict[str, Any]:
    """Write a model's folder; returns its metrics on the test part."""
    folder = run.data.options.out / name
    ids = run.data.products["id"].to_numpy(dtype=str)
    validation, test = run.data.rows("validation"), run.data.rows("test")
    for part, rows, truth, scores in (
        ("validation", validation, answers.validation_truth, answers.validation),
        ("test", test, answers.test_truth, answers.test),
    ):
        of_target, classes = truth.reshape(len(truth), -1)[:, 0], len(run.data.labels)
        write_arrays(folder / f"{part}.npz", ids=ids[rows], truth=of_target, probabilities=scores[:, :classes])
        if answers.settings.attributes:
            write_arrays(folder / f"{part}-attributes.npz", ids=ids[rows], truth=truth, probabilities=scores)
    write_history(folder / "history.csv", history)
    settings = answers.settings
    tokenizer = (run.data.options.out / "tokenizer.json").read_text(encoding="utf-8")
    save_model(folder, classifier, settings=settings, image_encoder=run.data.options.image_encoder, tokenizer=tokenizer)
    if not settings.attributes:
        return summarize(answers.test, answers.test_truth, run.data.labels)
    numbers = summarize(answers.test[:, : len(settings.labels)], answers.test_truth[:, 0], settings.labels)
    return {**numbers, "attributes": summarize_attributes(answers.test, answers.test_truth, settings)}
