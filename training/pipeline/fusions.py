"""Train the fusions on two trained towers: heads on cached features, weights on the validation part."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.product_serving.settings import ProductSettings
from training.data.attributes import MISSING
from training.features.batches import FeatureBatches, Features
from training.fit.loop import Epoch, predict
from training.models import HEADS, ProductClassifier, build_classifier, joined_encoders
from training.models.head import Head
from training.pipeline.results import Calibrated, as_trained
from training.pipeline.towers import Tower, tune
from training.run.context import Run
from training.scores.calibration import fusion_weights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def train_fusion(
    run: Run, name: str, towers: Mapping[str, Tower], features: Features
) -> tuple[ProductClassifier, list[Epoch]]:
    """Train a fusion: its head on features, then, with ``joint_epochs``, head and towers together."""
    options = run.data.options
    encoders = joined_encoders({tower: trained.classifier for tower, trained in towers.items()})
    classifier = run.seeded(lambda: build_classifier(name, encoders, sizes=run.data.settings.sizes))
    heads = {tower: as_trained(run, trained.classifier.head) for tower, trained in towers.items()}
    classifier.head.start_from(heads, weigh=bool(options.cross_fit))
    history = run.fit_fusion(classifier.head, features, stage=name)
    classifier.head.after_fit()
    if options.joint_epochs:
        classifier = copy.deepcopy(classifier)  # other models share these towers
        rates = {"image": options.image_rate, "text": options.text_rate}
        if classifier.lexical_encoder is not None:  # trained from random weights, it is done; its int8 numbers stay
            classifier.lexical_encoder.requires_grad_(False)
        history += tune(
            run,
            classifier,
            stage=f"{name}-joint",
            rows=run.data.rows("train"),
            modalities=("image", "text"),
            epochs=options.joint_epochs,
            batch_size=options.batch_size,
            rates=[
                *((getattr(classifier.encoders, tower), rate) for tower, rate in rates.items()),
                (classifier.head, options.head_rate),
            ],
        )
    return classifier, history


@torch.no_grad()
def weigh_corrections(run: Run, head: Head, features: Features) -> None:
    """For products with one modality, choose the share of a fusion's correction that counts, for each attribute.

    The share is a multiple of 0.25. It gives the most right answers on the validation part, with titles as they are and
    damaged, and with the other modality hidden. The smallest wins a tie; without such products it is 0.

    Args:
        head: corrected for the true class frequencies; its shares are set if it has a correction.
        features: from :meth:`training.run.context.Run.held_out_features`.
    """
    if (shares := head.correction_shares()) is None:
        return
    places = np.searchsorted(run.data.held_out, run.data.rows("validation"))
    for modality in range(2):
        there = places[features.present[places, modality]]
        shares[modality] = 0
        if not len(there):
            continue
        plain, truth = _all_forms(run, head, features, there, hidden=np.arange(2) != modality)
        shares[modality] = 1
        corrected, _ = _all_forms(run, head, features, there, hidden=np.arange(2) != modality)
        for part, classes in zip(run.data.settings.slices.values(), truth.T, strict=True):
            known = classes != MISSING
            shares[modality, part] = _share(plain[known, part], corrected[known, part], classes[known])


def _all_forms(
    run: Run, head: Head, features: Features, rows: NDArray[np.int64], *, hidden: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and classes of products with their titles as they are, and with each damaged form of them."""
    forms = range(len(features.starts))
    answers = [
        predict(head, FeatureBatches(features, rows, hidden=hidden, form=form), device=run.device) for form in forms
    ]
    logits, truth = zip(*answers, strict=True)
    return np.concatenate(logits), np.concatenate(truth)


def _share(plain: NDArray[np.float32], corrected: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The share between two logits (N, C) with the most right answers."""
    right = [int(np.sum((plain + share * (corrected - plain)).argmax(1) == truth)) for share in SHARES]
    return SHARES[int(np.argmax(right))]


class Answered(NamedTuple):
    """A single model with its answers to the products that decide the weights of a fusion.

    Args:
        head: of the model.
        settings: with the fitted temperatures.
        scores: (N, C) calibrated probabilities, each attribute's from its own logits.
    """

    head: Head
    settings: ProductSettings
    scores: NDArray[np.float32]


def weigh_fusion(name: str, towers: Mapping[str, Tower], answers: Mapping[str, Calibrated]) -> ProductClassifier:
    """A fusion whose weights are fitted on validation products with both modalities.

    Half of the evidence are the titles as they are, half their damaged forms. Titles as they are alone would leave the
    weights of the picture and of the letters to chance, because the title's other model hardly errs there.

    Args:
        name: name of the fusion; its head is ``from_validation``.
        answers: calibrated answers of the single models.
    """
    first = next(iter(answers.values()))
    whole = first.validation_whole if first.validation_whole.any() else np.ones_like(first.validation_whole)
    forms = len(first.validation_damaged)
    answered = {
        tower: Answered(
            trained.classifier.head,
            answers[tower].settings,
            np.concatenate([answers[tower].validation_alone[whole], *answers[tower].validation_damaged[:, whole]]),
        )
        for tower, trained in towers.items()
    }
    truth = np.tile(first.validation_truth[whole], (1 + forms, 1))
    counts = np.repeat([1.0, *([1 / forms] * forms)], int(whole.sum()))
    head = weighed_head(name, answered, truth, counts)
    encoders = joined_encoders({tower: trained.classifier for tower, trained in towers.items()})
    return ProductClassifier(encoders.image, encoders.text, head, encoders.lexical)


def weighed_head(
    name: str,
    answered: Mapping[str, Answered],
    truth: NDArray[np.int64],
    counts: NDArray[np.float64] | None = None,
) -> Head:
    """A fusion of single models with the weights that fit some products best.

    Args:
        answered: single models with their answers, by tower.
        truth: (N, A) classes.
        counts: (N,) how much each product counts; None for equally.
    """
    fitted = [each.settings for each in answered.values()]
    scores = np.stack([each.scores for each in answered.values()])  # (M, N, C)
    counts = np.ones(len(truth)) if counts is None else counts
    weights = [
        _weights(scores[:, :, part], classes, counts)
        for part, classes in zip(fitted[0].slices.values(), truth.T, strict=True)
    ]
    temperatures = np.array([[attribute.temperature for attribute in each.attributes] for each in fitted]).T.tolist()
    heads = {tower: each.head for tower, each in answered.items()}
    return HEADS[name](heads, sizes=fitted[0].sizes, weights=weights, temperatures=temperatures)


def _weights(scores: NDArray[np.float32], truth: NDArray[np.int64], counts: NDArray[np.float64]) -> list[float]:
    """The models' weights, fitted on the products that have a value; equal without any."""
    known = truth != MISSING
    if not known.any():
        return [1 / len(scores)] * len(scores)
    weights: list[float] = fusion_weights(scores[:, known], truth[known], counts[known]).tolist()
    return weights
