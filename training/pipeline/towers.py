"""Train a tower with its single model: first a head on pretrained features, then encoder and head together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.data.dataset import product_loader
from training.fit.loop import Epoch
from training.models import Encoders, ProductClassifier, build_classifier
from training.models.encoders import ImageEncoder, TextEncoder, build_image_encoder, build_text_encoder
from training.models.head import TOWERS
from training.models.lexical_encoder import LexicalEncoder
from training.models.weights.weights_file import WeightsError
from training.pipeline.results import as_trained
from training.run.context import Run, adamw
from training.run.options import TrainOptions

# A step of the lexical tower updates all its embeddings, whatever the batch: large batches save time. A small catalogue
# gets smaller ones, so that an epoch has LEXICAL_STEPS steps. With 28,619 products batches of 384 and 1,024 took 72 and
# 51 s, and were right for 90.0 and 89.2 % of the titles with 20 % typos (validation part, one core, November 2026).
LEXICAL_BATCH, MIN_BATCH = 384, 8
LEXICAL_STEPS = 75


class Tower(NamedTuple):
    """A trained encoder with the head of its single model.

    Args:
        classifier: encoder and head; the other encoders are None.
        history: epochs of the head, then of encoder and head together.
    """

    classifier: ProductClassifier
    history: list[Epoch]


class _Fit(NamedTuple):
    """How a tower is tuned.

    Args:
        epochs: number of epochs of encoder and head together.
        rate: peak learning rate of the encoder.
        head_rate: that of the head.
        head_first: train a head on the features of the encoder as it is, before both are trained together.
        batch_size: products in a step.
        sizes: edge of the pictures in each epoch, in pixels.
        patience: as in :func:`training.fit.loop.fit`.
    """

    epochs: int
    rate: float
    head_rate: float
    head_first: bool
    batch_size: int
    sizes: Sequence[int] = ()
    patience: int | None = 3


def train_tower(run: Run, name: str) -> Tower:
    """Train the single model of one tower on all training rows.

    Args:
        name: a key of :data:`training.models.head.TOWERS`.
    """
    return _trained(run, name, stages=(f"{name}-head", f"{name}-tuned"), rows=run.data.rows("train"))


def cross_fitted_tower(run: Run, name: str, parts: Sequence[NDArray[np.int64]]) -> list[ProductClassifier]:
    """Train the single model of one tower once for each part of the training rows, on all other parts.

    All start from the same encoder.

    Args:
        name: a key of :data:`training.models.head.TOWERS`.
        parts: row numbers of each part.

    Returns:
        One model for each part; the k-th was not trained on the k-th part.
    """
    fitted = []
    sizes = run.data.options.cross_fit_sizes if name == "image" else ()
    for number in range(len(parts)):
        rows = np.sort(np.concatenate([rows for other, rows in enumerate(parts) if other != number]))
        stage = f"{name}-fold-{number + 1}"
        fitted.append(_trained(run, name, stages=(f"{stage}-head", stage), rows=rows, sizes=sizes).classifier)
    return fitted


def tune(
    run: Run,
    classifier: ProductClassifier,
    *,
    stage: str,
    rows: NDArray[np.int64],
    modalities: tuple[str, ...],
    epochs: int,
    batch_size: int,
    sizes: Sequence[int] = (),
    patience: int | None = 3,
    tower: str = "",
    rates: Sequence[tuple[nn.Module, float]],
) -> list[Epoch]:
    """Train encoders and head together on pictures and titles.

    Args:
        classifier: training starts from its weights.
        stage: name of the fit and its files.
        modalities: the modalities to read.
        epochs: largest number of epochs.
        batch_size: products in a step.
        sizes: edge of the pictures in each epoch, in pixels; if empty, the served size in all epochs.
        patience: as in :func:`training.fit.loop.fit`.
        tower: the only tower that is trained, if it is one.
        rates: encoders and head with their peak learning rates.
    """
    options = run.data.options
    if classifier.image_encoder is not None:
        _prepare(classifier.image_encoder, options)
    sampler = run.sampler(rows, batch_size=batch_size, balanced=tower != "lexical")
    datasets = [
        run.data.dataset(rows, modalities=modalities, training=True, image_size=size, tower=tower)
        for size in sizes or [options.image_size]
    ]

    def train(epoch: int) -> Any:
        dataset = datasets[min(epoch, len(datasets) - 1)]
        sampler.epoch = dataset.epoch = epoch
        return product_loader(dataset, batch_size=batch_size, sampler=sampler, processes=options.processes)

    validation = product_loader(
        run.data.dataset(run.data.rows("validation"), modalities=modalities, tower=tower),
        batch_size=64,
        processes=options.processes,
    )
    return run.stages.fit(
        classifier,
        stage=stage,
        objective=run.objective,
        optimizer=adamw(list(rates)),
        epochs=epochs,
        patience=patience,
        train=train,
        validation=validation,
        device=run.device,
        seed=options.seed,
        together=True,
    )


def _prepare(encoder: ImageEncoder, options: TrainOptions) -> None:
    if options.freeze_stem:
        encoder.freeze_stem()
    if options.batch_statistics:
        encoder.use_batch_statistics()


def _trained(
    run: Run, name: str, *, stages: tuple[str, str], rows: NDArray[np.int64], sizes: Sequence[int] = ()
) -> Tower:
    """An encoder with a head trained on its features of some rows, then both tuned together.

    Args:
        name: a key of :data:`training.models.head.TOWERS`.
        stages: names of the two fits and their files.
        sizes: replace the options' picture sizes in each epoch; if empty, the options' hold.
    """
    classifier, history = _untrained(run, name), list[Epoch]()
    fit = _fit_of(run.data.options, name, rows=len(rows), sizes=sizes)
    if fit.head_first:
        features = run.features(classifier.encoders)
        history += run.fit_head(classifier.head, features, stage=stages[0], rows=rows)
    encoder = getattr(classifier.encoders, name)
    if fit.epochs:
        history += tune(
            run,
            classifier,
            stage=stages[1],
            rows=rows,
            modalities=(TOWERS[name],),
            epochs=fit.epochs,
            batch_size=fit.batch_size,
            sizes=fit.sizes,
            patience=fit.patience,
            tower=name,
            rates=[(encoder, fit.rate), (classifier.head, fit.head_rate)],
        )
    if isinstance(encoder, LexicalEncoder):
        encoder.round_weights()
        if fit.epochs:  # it was trained on the true frequencies; all other models are corrected for balanced batches
            classifier.head = as_trained(run, classifier.head)
    return Tower(classifier, history)


def _fit_of(options: TrainOptions, name: str, *, rows: int, sizes: Sequence[int]) -> _Fit:
    """How a tower is tuned on a number of rows."""
    if name == "text":
        rates = options.text_rate, options.head_rate
        return _Fit(options.text_epochs, *rates, head_first=True, batch_size=options.batch_size)
    if name == "lexical":  # random features are useless for a head
        batch_size = int(np.clip(rows // LEXICAL_STEPS, MIN_BATCH, LEXICAL_BATCH))
        untrained = not options.lexical_epochs
        rate = options.lexical_rate  # both start from random weights
        # All epochs: whole titles, which the validation part has, are at their best before damaged ones are.
        return _Fit(options.lexical_epochs, rate, rate, head_first=untrained, batch_size=batch_size, patience=None)
    pretrained = options.image_weights != "none" or not options.image_epochs
    epochs, edges = len(sizes) or options.image_epochs, sizes or options.image_sizes
    rates = options.image_rate, options.head_rate
    return _Fit(epochs, *rates, head_first=pretrained, batch_size=options.batch_size, sizes=edges)


def require_weights(options: TrainOptions) -> None:
    """Load the encoders' pretrained weights once, so that a run without them fails at once, not after minutes.

    Raises:
        WeightsError: weights are not available; the message lists the choices.
    """
    with torch.random.fork_rng(devices=[]):
        for name in options.towers:
            if (text := _encoder(options, name).text) is not None:
                _check_length(text, options)


def _check_length(encoder: TextEncoder, options: TrainOptions) -> None:
    longest = int(encoder.bert.config.max_position_embeddings)
    if options.max_tokens > longest:
        raise WeightsError(
            f"text encoder {options.text_encoder!r} reads at most {longest} tokens, and --max-tokens is "
            f"{options.max_tokens}: lower it"
        )


def _untrained(run: Run, name: str) -> ProductClassifier:
    sizes = run.data.settings.sizes
    return run.seeded(lambda: build_classifier(name, _encoder(run.data.options, name), sizes=sizes))


def _encoder(options: TrainOptions, name: str) -> Encoders:
    """The encoder of one tower, with its pretrained weights if it has any."""
    if name == "image":
        return Encoders(image=build_image_encoder(options.image_encoder, options.image_weights))
    if name == "text":
        return Encoders(text=build_text_encoder(options.text_encoder))
    return Encoders(lexical=LexicalEncoder())
