"""One tower and its single model: a head on the pretrained features first, then both tuned together."""

import dataclasses
from typing import Any

from torch import nn

from training.dataset import product_loader
from training.encoders import ImageEncoder, TextEncoder, build_image_encoder, build_text_encoder
from training.loop import Epoch
from training.models import ProductClassifier, build_head
from training.run import Run, adamw


@dataclasses.dataclass(frozen=True)
class Tower:
    """A trained encoder with the head of its single model.

    Args:
        classifier: encoder and head; the other encoder is None.
        history: epochs of the head, then of both.
    """

    classifier: ProductClassifier
    history: list[Epoch]


def train_tower(run: Run, side: str) -> Tower:
    """Train the single model of one side.

    Args:
        run: under way.
        side: ``image`` or ``text``.
    """
    options = run.data.options
    epochs, rate = (
        (options.image_epochs, options.image_rate) if side == "image" else (options.text_epochs, options.text_rate)
    )
    classifier = _untrained(run, side)
    history: list[Epoch] = []
    random_encoder = side == "image" and options.image_weights == "none"
    if not (random_encoder and epochs):
        features = run.features(classifier.image_encoder, classifier.text_encoder)
        history += run.fit_head(classifier.head, features, stage=f"{side}-head")
    if epochs:
        encoder = classifier.image_encoder or classifier.text_encoder
        assert encoder is not None
        history += tune(
            run, classifier, stage=f"{side}-tuned", modalities=(side,), epochs=epochs, rates=[(encoder, rate)]
        )
    return Tower(classifier, history)


def tune(
    run: Run,
    classifier: ProductClassifier,
    *,
    stage: str,
    modalities: tuple[str, ...],
    epochs: int,
    rates: list[tuple[nn.Module, float]],
) -> list[Epoch]:
    """Train encoders and head together on pictures and titles.

    Args:
        run: under way.
        classifier: starts from its weights.
        stage: names the fit.
        modalities: which sides are read.
        epochs: at most.
        rates: encoders with their peak learning rates; the head takes ten times the highest.
    """
    options = run.data.options
    train_rows, validation_rows = run.data.rows("train"), run.data.rows("validation")
    sampler = run.sampler(train_rows, batch_size=options.batch_size)
    dataset = run.data.dataset(train_rows, modalities=modalities, augment=True)

    def train(epoch: int) -> Any:
        sampler.epoch = dataset.epoch = epoch
        return product_loader(dataset, batch_size=options.batch_size, sampler=sampler, processes=options.processes)

    validation = product_loader(
        run.data.dataset(validation_rows, modalities=modalities), batch_size=64, processes=options.processes
    )
    return run.stages.fit(
        classifier,
        stage=stage,
        optimizer=adamw([*rates, (classifier.head, 10 * max(rate for _, rate in rates))]),
        epochs=epochs,
        train=train,
        validation=validation,
        device=run.device,
        seed=options.seed,
    )


def _untrained(run: Run, side: str) -> ProductClassifier:
    options = run.data.options
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    if side == "image":
        image_encoder = build_image_encoder(options.image_encoder, options.image_weights)
    else:
        text_encoder = build_text_encoder(options.text_encoder)
    head = run.seeded(
        lambda: build_head(
            side,
            image_width=image_encoder.width if image_encoder else 0,
            text_width=text_encoder.width if text_encoder else 0,
            classes=len(run.data.labels),
        )
    )
    return ProductClassifier(image_encoder, text_encoder, head)
