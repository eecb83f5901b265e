"""Every choice of a training run, as one value that is written beside its results."""

import dataclasses
from pathlib import Path
from typing import Any

from handlers.product_serving.settings import MODALITIES
from training.catalog.reading import CatalogSource
from training.data.corrections import corrections_hash
from training.models import HEADS, MODEL_MODALITIES, MODELS
from training.scores.metrics import PRECISION_TARGET

ATTRIBUTE_WEIGHT = 0.5


class OptionsError(ValueError):
    """A choice that cannot be, or does not go with another one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Arguments of ``python -m training train``; two runs with equal options give equal results on a CPU.

    Args:
        source: the catalogue.
        out: the run folder.
        classes: labels to keep; empty keeps all.
        per_class: products drawn of each class; None keeps all.
        min_class: classes with fewer products are left out.
        max_rejected: share of rejected rows above which the catalogue is refused.
        split: ``stratified`` or ``grouped`` (no title and no picture on both sides).
        train_share: of the training part that is used, for learning curves; the other parts stay whole.
        seed: of the sample, the split, the weights and the batches.
        models: names in ``HEADS`` to train; a fusion brings both single models, on which it builds.
        image_encoder: name in ``IMAGE_ENCODERS``.
        image_weights: ``imagenet``, ``none`` or a file.
        text_encoder: ``minilm``, a folder or a hub name.
        image_size: side of the graph's input, in pixels.
        image_fit: ``pad`` or ``squash``.
        max_tokens: longest title.
        image_epochs: epochs of tuning the image encoder; 0 leaves it as pretrained.
        image_sizes: side of the picture in each of those epochs, in pixels; empty is ``image_size`` in all of them.
        text_epochs: likewise for the text encoder.
        head_epochs: epochs of each single model's head on the pretrained features, at most.
        fusion_epochs: epochs of each fusion's head on cached features.
        cross_fit: parts of the training rows whose features come from encoders that were tuned on the other parts; 0
            has the fusion heads see the features of the very rows that the encoders were tuned on.
        cross_fit_sizes: like ``image_sizes``, with as many epochs, for the image encoders that only those features are
            of; empty tunes them as the served one.
        thin_titles: share of the training titles that are shown without some of their words.
        label_noise: share of the training rows that get a wrong label, for experiments.
        joint_epochs: epochs of tuning the early and intermediate models end to end; 0 leaves the encoders.
        batch_statistics: tune the image encoder with each batch's mean and variance instead of the pretrained ones;
            pays from some thousand products on.
        freeze_stem: leave the image encoder's layers up to a stride of 4 as pretrained; a step takes .6 of the time.
        image_rate: peak learning rate of the image encoder.
        text_rate: peak learning rate of the text encoder.
        head_rate: peak learning rate of the single models' heads.
        fusion_rate: peak learning rate of the fusions' heads.
        batch_size: products in a step of tuning.
        drop_image: chance that training hides a product's picture from a fusion head.
        drop_text: likewise for its title.
        review_precision: of the answers on validation that need no review.
        precision: ``auto``, ``fp32`` or ``bf16``.
        processes: extra processes that decode pictures.
        corrections: a file of corrected labels; see :mod:`training.data.corrections`.
        attribute_weights: names of further attributes with their weights in the loss, where the target has 1;
            ``ATTRIBUTE_WEIGHT`` for those that are not named.

    Raises:
        OptionsError: a value is out of its range; the message names it.
    """

    source: CatalogSource
    out: Path
    classes: tuple[str, ...] = ()
    per_class: int | None = None
    min_class: int | None = None
    max_rejected: float = 0.05
    split: str = "stratified"
    train_share: float = 1.0
    seed: int = 0
    models: tuple[str, ...] = tuple(MODELS)
    image_encoder: str = "resnet18"
    image_weights: str = "imagenet"
    text_encoder: str = "bert-base-uncased"
    image_size: int = 224
    image_fit: str = "pad"
    max_tokens: int = 32
    image_epochs: int = 2
    image_sizes: tuple[int, ...] = ()
    text_epochs: int = 2
    head_epochs: int = 30
    fusion_epochs: int = 10
    cross_fit: int = 0
    cross_fit_sizes: tuple[int, ...] = ()
    thin_titles: float = 0.0
    label_noise: float = 0.0
    joint_epochs: int = 0
    batch_statistics: bool = False
    freeze_stem: bool = False
    image_rate: float = 1e-4
    text_rate: float = 3e-5
    head_rate: float = 1e-3
    fusion_rate: float = 1e-3
    batch_size: int = 32
    drop_image: float = 0.15
    drop_text: float = 0.25
    review_precision: float = PRECISION_TARGET
    precision: str = "auto"
    processes: int = 0
    corrections: Path | None = None
    attribute_weights: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.image_sizes and len(self.image_sizes) != self.image_epochs:
            raise OptionsError(
                f"image_sizes must name a side for each of {self.image_epochs} epochs, got {list(self.image_sizes)}"
            )
        if self.cross_fit == 1 or self.cross_fit < 0:
            raise OptionsError(f"cross_fit must be 0 or at least 2 parts, got {self.cross_fit}")
        for name in ("thin_titles", "label_noise", "drop_image", "drop_text"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("train_share", "review_precision"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionsError(f"{name} must be in (0, 1], got {getattr(self, name)}")
        if unknown := sorted(set(self.models) - set(HEADS)):
            raise OptionsError(f"unknown models {unknown}; known are {list(HEADS)}")
        for name, weight in self.attribute_weights:
            if not weight > 0:
                raise OptionsError(f"attribute_weights must be > 0, got {weight} for {name!r}")

    @property
    def sides(self) -> tuple[str, ...]:
        """Whose single models are trained: both, unless the models asked for read one side alone."""
        read = {side for name in self.models for side in MODEL_MODALITIES[name]}
        return tuple(side for side in MODALITIES if not read or side in read)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; what equals this gives the same results, so where the results lie is left out.

        Of corrections their content counts, not where they lie; a run without any does not mention them, nor weights of
        attributes if it has none.

        Raises:
            CatalogError: the corrections cannot be read.
        """
        values = {**dataclasses.asdict(self), "source": self.source.as_dict()}
        del values["out"], values["processes"], values["corrections"]
        if weights := dict(values.pop("attribute_weights")):
            values["attribute_weights"] = weights
        if self.corrections is not None:
            values["corrections"] = corrections_hash(self.corrections)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def made(self, record: dict[str, Any]) -> bool:
        """Whether a run that left this record had equal options; what it does not name was not there yet, and off."""
        chosen = {field.name for field in dataclasses.fields(self) if field.default is dataclasses.MISSING}
        defaults = type(self)(**{name: getattr(self, name) for name in chosen}).as_dict()
        return {**defaults, **record} == self.as_dict()
