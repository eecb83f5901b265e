"""Train the fusions on two trained towers: heads on cached features, weights on the validation part."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.product_serving.settings import ProductSettings
from training.data.attributes import MISSING
from training.features.batches import FeatureBatches, Features
from training.fit.loop import Epoch, predict
from training.models import HEADS, ProductClassifier, build_classifier
from training.models.head import Head
from training.pipeline.results import Calibrated, as_trained
from training.pipeline.towers import Tower, tune
from training.run.context import Run
from training.scores.calibration import fusion_weight

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def train_fusion(
    run: Run, name: str, image: Tower, text: Tower, features: Features
) -> tuple[ProductClassifier, list[Epoch]]:
    """Train a fusion: its head on features, then, with ``joint_epochs``, head and towers together."""
    options = run.data.options
    encoders = image.classifier.image_encoder, text.classifier.text_encoder
    classifier = run.seeded(lambda: build_classifier(name, *encoders, sizes=run.data.settings.sizes))
    image_head, text_head = (as_trained(run, tower.classifier.head) for tower in (image, text))
    classifier.head.start_from(image_head, text_head, weigh=bool(options.cross_fit))
    history = run.fit_fusion(classifier.head, features, stage=name)
    classifier.head.after_fit()
    if options.joint_epochs:
        classifier = copy.deepcopy(classifier)  # other models share these towers
        assert classifier.image_encoder is not None and classifier.text_encoder is not None
        history += tune(
            run,
            classifier,
            stage=f"{name}-joint",
            rows=run.data.rows("train"),
            modalities=("image", "text"),
            epochs=options.joint_epochs,
            rates=[(classifier.image_encoder, options.image_rate), (classifier.text_encoder, options.text_rate)],
        )
    return classifier, history


@torch.no_grad()
def weigh_corrections(run: Run, head: Head, features: Features) -> None:
    """For products with one modality, choose the share of a fusion's correction that counts, for each attribute.

    The share is a multiple of 0.25. It gives the most right answers on the validation part with the other modality
    hidden. The smallest wins a tie; without such products it is 0.

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
        batches = FeatureBatches(features, there, hidden=np.arange(2) != modality)
        plain, truth = predict(head, batches, device=run.device)
        shares[modality] = 1
        corrected, _ = predict(head, batches, device=run.device)
        for part, classes in zip(run.data.settings.slices.values(), truth.T, strict=True):
            known = classes != MISSING
            shares[modality, part] = _share(plain[known, part], corrected[known, part], classes[known])


def _share(plain: NDArray[np.float32], corrected: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The share between two logits (N, C) with the most right answers."""
    right = [int(np.sum((plain + share * (corrected - plain)).argmax(1) == truth)) for share in SHARES]
    return SHARES[int(np.argmax(right))]


def weigh_fusion(name: str, image: Tower, text: Tower, by_image: Calibrated, by_text: Calibrated) -> ProductClassifier:
    """A fusion whose weights are fitted on validation products with both modalities.

    Args:
        name: name of the fusion; its head is ``from_validation``.
        by_image: calibrated answers of the image model.
        by_text: calibrated answers of the text model.
    """
    whole = by_image.validation_whole if by_image.validation_whole.any() else slice(None)
    head = weighed_head(
        name,
        (image.classifier.head, text.classifier.head),
        (by_image.settings, by_text.settings),
        (by_image.validation_alone[whole], by_text.validation_alone[whole]),
        by_image.validation_truth[whole],
    )
    return ProductClassifier(image.classifier.image_encoder, text.classifier.text_encoder, head)


def weighed_head(
    name: str,
    heads: tuple[Head, Head],
    fitted: tuple[ProductSettings, ProductSettings],
    scores: tuple[NDArray[np.float32], NDArray[np.float32]],
    truth: NDArray[np.int64],
) -> Head:
    """A fusion of two single models with the weights that fit some products best.

    Args:
        heads: heads of the image model and the text model.
        fitted: their calibrated settings.
        scores: their calibrated probabilities (N, C), each attribute's from its own logits.
        truth: (N, A) classes.
    """
    image, text = scores
    weights = [
        _weight(image[:, part], text[:, part], classes)
        for part, classes in zip(fitted[0].slices.values(), truth.T, strict=True)
    ]
    by_image, by_text = ([attribute.temperature for attribute in each.attributes] for each in fitted)
    return HEADS[name](
        *heads, sizes=fitted[0].sizes, image_weights=weights, image_temperatures=by_image, text_temperatures=by_text
    )


def _weight(image: NDArray[np.float32], text: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The picture's weight, fitted on the products that have a value; 0.5 without any."""
    known = truth != MISSING
    return float(np.clip(fusion_weight(image[known], text[known], truth[known]), 0, 1)) if known.any() else 0.5
