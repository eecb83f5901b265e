"""The three fusions on top of two trained towers: heads on cached features, weights on validation."""

import copy

import numpy as np

from training.calibration import fusion_weight
from training.features import Features
from training.loop import Epoch
from training.models import ProductClassifier, build_head
from training.models.late import LateFusion
from training.models.residual import ResidualFusion
from training.results import Calibrated, as_trained
from training.run import Run
from training.towers import Tower, tune


def train_fusion(
    run: Run, name: str, image: Tower, text: Tower, features: Features
) -> tuple[ProductClassifier, list[Epoch]]:
    """Train a fusion: its head on features first, then everything where ``joint_epochs`` asks for it."""
    options = run.data.options
    image_encoder, text_encoder = image.classifier.image_encoder, text.classifier.text_encoder
    assert image_encoder is not None and text_encoder is not None
    head = run.seeded(
        lambda: build_head(
            name, image_width=image_encoder.width, text_width=text_encoder.width, classes=len(run.data.labels)
        )
    )
    assert isinstance(head, ResidualFusion)
    for own, tower in ((head.image_head, image), (head.text_head, text)):
        own.load_state_dict(as_trained(run, tower.classifier.head).state_dict())
    history = run.fit_fusion(head, features, stage=name)
    classifier = ProductClassifier(image_encoder, text_encoder, head)
    if options.joint_epochs:
        classifier = copy.deepcopy(classifier)  # the other models keep the towers as they are
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


def combine_late(image: Tower, text: Tower, by_image: Calibrated, by_text: Calibrated) -> ProductClassifier:
    """Late fusion of two calibrated single models, its weight chosen on the validation part.

    Args:
        image: the image tower.
        text: the text tower.
        by_image: its calibrated answers.
        by_text: likewise.
    """
    weight = fusion_weight(by_image.validation, by_text.validation, by_image.validation_truth)
    head = LateFusion(
        image.classifier.head,
        text.classifier.head,
        image_weight=float(np.clip(weight, 0, 1)),
        image_temperature=by_image.temperature,
        text_temperature=by_text.temperature,
    )
    return ProductClassifier(image.classifier.image_encoder, text.classifier.text_encoder, head)
