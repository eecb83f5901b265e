"""Train a tower with its single model: first a head on the pretrained features, then encoder and head together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.data.dataset import product_loader
from training.fit.loop import Epoch
from training.models import ProductClassifier, build_classifier
from training.models.encoders import ImageEncoder, TextEncoder, build_image_encoder, build_text_encoder
from training.run.context import Run, adamw
from training.run.options import TrainOptions


class Tower(NamedTuple):
    """A trained encoder with the head of its single model.

    Args:
        classifier: encoder and head; the other encoder is None.
        history: epochs of the head, then of encoder and head together.
    """

    classifier: ProductClassifier
    history: list[Epoch]


def train_tower(run: Run, modality: str) -> Tower:
    """Train the single model of one modality on all training rows.

    Args:
        modality: ``image`` or ``text``.
    """
    return _trained(run, modality, stages=(f"{modality}-head", f"{modality}-tuned"), rows=run.data.rows("train"))


def cross_fitted_tower(run: Run, modality: str, parts: Sequence[NDArray[np.int64]]) -> list[ProductClassifier]:
    """Train the single model of one modality once for each part of the training rows, on all other parts.

    All start from the same pretrained encoder.

    Args:
        modality: ``image`` or ``text``.
        parts: row numbers of each part.

    Returns:
        One model for each part; the k-th was not trained on the k-th part.
    """
    fitted = []
    sizes = run.data.options.cross_fit_sizes if modality == "image" else ()
    for number in range(len(parts)):
        rows = np.sort(np.concatenate([rows for other, rows in enumerate(parts) if other != number]))
        stage = f"{modality}-fold-{number + 1}"
        fitted.append(_trained(run, modality, stages=(f"{stage}-head", stage), rows=rows, sizes=sizes).classifier)
    return fitted


def tune(
    run: Run,
    classifier: ProductClassifier,
    *,
    stage: str,
    rows: NDArray[np.int64],
    modalities: tuple[str, ...],
    epochs: int,
    sizes: Sequence[int] = (),
    rates: list[tuple[nn.Module, float]],
) -> list[Epoch]:
    """Train encoders and head together on pictures and titles.

    Args:
        classifier: training starts from its weights.
        stage: name of the fit and its files.
        modalities: the modalities to read.
        epochs: largest number of epochs.
        sizes: edge of the pictures in each epoch, in pixels; if empty, the served size in all epochs.
        rates: encoders with their peak learning rates.
    """
    options = run.data.options
    if options.freeze_stem and classifier.image_encoder is not None:
        classifier.image_encoder.freeze_stem()
    if options.batch_statistics and classifier.image_encoder is not None:
        classifier.image_encoder.use_batch_statistics()
    sampler = run.sampler(rows, batch_size=options.batch_size)
    datasets = [
        run.data.dataset(rows, modalities=modalities, training=True, image_size=size)
        for size in sizes or [options.image_size]
    ]

    def train(epoch: int) -> Any:
        dataset = datasets[min(epoch, len(datasets) - 1)]
        sampler.epoch = dataset.epoch = epoch
        return product_loader(dataset, batch_size=options.batch_size, sampler=sampler, processes=options.processes)

    validation = product_loader(
        run.data.dataset(run.data.rows("validation"), modalities=modalities), batch_size=64, processes=options.processes
    )
    return run.stages.fit(
        classifier,
        stage=stage,
        objective=run.objective,
        optimizer=adamw([*rates, (classifier.head, options.head_rate)]),
        epochs=epochs,
        train=train,
        validation=validation,
        device=run.device,
        seed=options.seed,
        together=True,
    )


def _trained(
    run: Run, modality: str, *, stages: tuple[str, str], rows: NDArray[np.int64], sizes: Sequence[int] = ()
) -> Tower:
    """The pretrained encoder with a head trained on its features of some rows, then both tuned together.

    Args:
        modality: ``image`` or ``text``.
        stages: names of the two fits and their files.
        sizes: replace the options' picture sizes in each epoch; if empty, the options' hold.
    """
    options, classifier, history = run.data.options, _untrained(run, modality), list[Epoch]()
    if modality == "text":
        epochs, rate = options.text_epochs, options.text_rate
    else:
        epochs, rate = len(sizes) or options.image_epochs, options.image_rate
        sizes = sizes or options.image_sizes
    # Random features are useless for a head.
    if modality == "text" or options.image_weights != "none" or not options.image_epochs:
        features = run.features(classifier.image_encoder, classifier.text_encoder)
        history += run.fit_head(classifier.head, features, stage=stages[0], rows=rows)
    encoder = classifier.image_encoder or classifier.text_encoder
    if epochs and encoder is not None:
        history += tune(
            run,
            classifier,
            stage=stages[1],
            rows=rows,
            modalities=(modality,),
            epochs=epochs,
            sizes=sizes,
            rates=[(encoder, rate)],
        )
    return Tower(classifier, history)


def require_weights(options: TrainOptions) -> None:
    """Load the encoders' pretrained weights once, so that a run without them fails at once, not after minutes.

    Raises:
        WeightsError: weights are not available; the message lists the choices.
    """
    with torch.random.fork_rng(devices=[]):
        if "image" in options.modalities:
            build_image_encoder(options.image_encoder, options.image_weights)
        if "text" in options.modalities:
            build_text_encoder(options.text_encoder)


def _untrained(run: Run, modality: str) -> ProductClassifier:
    options = run.data.options
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    if modality == "image":
        image_encoder = build_image_encoder(options.image_encoder, options.image_weights)
    else:
        text_encoder = build_text_encoder(options.text_encoder)
    return run.seeded(lambda: build_classifier(modality, image_encoder, text_encoder, sizes=run.data.settings.sizes))
