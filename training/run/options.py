"""All options of training. Each field defines the flag, the key in recipes, the help and the entry in the record."""

import dataclasses
from pathlib import Path
from typing import Any

from handlers.product_serving.settings import MODALITIES
from training.catalog.presets import PRESETS
from training.catalog.source import CatalogSource
from training.data.corrections import corrections_hash
from training.models import HEADS, MODELS
from training.models.encoders import IMAGE_ENCODERS
from training.models.head import TOWERS
from training.run.option_table import (
    AT_LEAST_ONE,
    COUNT,
    POSITIVE,
    POSITIVE_SHARE,
    SHARE,
    ZERO_OR_SEVERAL,
    NamedWeight,
    Option,
    OptionsError,
    check_options,
    option,
    options_of,
)
from training.scores.metrics import PRECISION_TARGET
from training.system.device import PRECISIONS, loader_processes

ATTRIBUTE_WEIGHT = 0.5

CATALOG = "catalogue"
RUN = "run"
SAMPLE = "products and split"
ENCODERS = "models and encoders"
TUNING = "tuning of the encoders"
FUSION = "heads and fusion"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogOptions:
    """The path of a catalogue and the names of its columns."""

    data: str = option(
        dataclasses.MISSING,
        "a table (CSV, TSV, Parquet, XLSX, JSON lines, XML), a folder or .zip with one, or a folder for each class",
        CATALOG,
        first=True,
        metavar="PATH",
    )
    image_column: str = option(
        CatalogSource.image_column,
        'column of the picture\'s path, relative to the table, or the picture in a Parquet; "" goes on without',
        CATALOG,
        first=True,
    )
    text_column: str = option(
        CatalogSource.text_column, 'column of the title; "" goes on without titles', CATALOG, first=True
    )
    target: str | None = option(
        None,
        "column of the label (label; Kaggle: articleType); several, separated by commas, are predicted together, the "
        "first one is the main attribute",
        CATALOG,
        first=True,
        aliases=("--label-column",),
    )
    id_column: str | None = option(
        None,
        'column of the product\'s id (id if there is one, else the line number; "" takes the line number)',
        CATALOG,
        first=True,
    )
    format: str | None = option(
        None,
        "export of a shop system, whose columns are taken; its categories give level1, level2, ...",
        CATALOG,
        first=True,
        choices=tuple(PRESETS),
    )
    encoding: str | None = option(
        None, "encoding of the table, such as cp1254 (found out where it is certain)", CATALOG, metavar="NAME"
    )
    header: str | None = option(
        None, "names of the columns, separated by commas, of a table that has no header", CATALOG, metavar="NAMES"
    )

    @property
    def source(self) -> CatalogSource:
        """The catalogue's source."""
        return CatalogSource(
            path=self.data,
            image_column=self.image_column,
            text_column=self.text_column,
            label_column=self.target,
            id_column=self.id_column,
            format=self.format,
            encoding=self.encoding,
            header=self.header,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """Options of the command, not of a run."""

    recipe: str = option(
        "quick", "a set of options: quick, medium, full or a TOML file; typed options win", RUN, first=True
    )
    out: Path | None = option(
        None,
        "run folder, by default below runs/; an interrupted run in it continues",
        RUN,
        first=True,
        metavar="FOLDER",
    )
    report: bool = option(False, "measure robustness and write the report at the end", RUN, first=True)
    folds: int = option(
        0, "k-fold cross-validation with a run for each fold; 0 is one split", RUN, first=True, limit=ZERO_OR_SEVERAL
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of one run. Two runs with equal options give equal results on a CPU.

    The other fields are options with a help text.

    Raises:
        OptionsError: a value is out of range; the message names the option.
    """

    source: CatalogSource
    out: Path
    max_rejected: float = option(0.05, "largest accepted share of bad rows", CATALOG, limit=SHARE)
    corrections: Path | None = option(
        None, "CSV of corrected labels: id, label, column; from an audit's sheet", RUN, first=True
    )
    seed: int = option(0, "seed of sample, split, weights and batches", RUN, first=True)
    precision: str = option("auto", "precision of the forward pass", RUN, choices=PRECISIONS)
    processes: int = option(
        loader_processes,
        "extra processes that decode pictures",
        RUN,
        limit=COUNT,
        default_words="none on a CPU, up to 8 beside a GPU",
    )

    classes: tuple[str, ...] = option((), "keep only these labels", SAMPLE, metavar="LABEL")
    merge_labels: bool = option(
        False, "labels that differ only in case are one class, named by its most frequent spelling", SAMPLE
    )
    per_class: int | None = option(None, "number of products to draw from each class", SAMPLE, limit=AT_LEAST_ONE)
    min_class: int | None = option(None, "leave out classes with fewer products", SAMPLE, limit=COUNT)
    split: str = option(
        "stratified",
        "grouped: equal titles and near-identical pictures stay in one part",
        SAMPLE,
        choices=("stratified", "grouped"),
    )
    train_share: float = option(
        1.0,
        "share of the training part to use, for a learning curve; the other parts stay whole",
        SAMPLE,
        experiment=True,
        limit=POSITIVE_SHARE,
    )
    label_noise: float = option(
        0.0, "share of training labels to replace by wrong ones", SAMPLE, experiment=True, limit=SHARE
    )

    models: tuple[str, ...] = option(
        tuple(MODELS),
        "models to train; a fusion also trains the single models",
        ENCODERS,
        first=True,
        choices=HEADS,
        metavar="MODEL",
    )
    without_lexical: bool = option(
        False, "train the five models without the lexical tower, as they were published", ENCODERS, first=True
    )
    image_encoder: str = option(
        "efficientnet_lite0",
        "picture tower; the weights of resnet18 are downloaded",
        ENCODERS,
        first=True,
        choices=sorted(IMAGE_ENCODERS),
    )
    image_weights: str = option("imagenet", "imagenet, none (random) or a state dict file", ENCODERS)
    text_encoder: str = option(
        "minilm",
        "title tower: minilm, a folder, or a name on the Hugging Face hub such as bert-base-uncased, which is "
        "downloaded",
        ENCODERS,
        first=True,
    )
    image_size: int = option(224, "edge of the picture, in pixels", ENCODERS, limit=AT_LEAST_ONE)
    image_fit: str = option("pad", "how a picture becomes square", ENCODERS, choices=("pad", "squash"))
    max_tokens: int = option(32, "longest title", ENCODERS, limit=AT_LEAST_ONE)

    image_epochs: int = option(2, "epochs of the picture tower; 0 leaves it as pretrained", TUNING, limit=COUNT)
    image_sizes: tuple[int, ...] = option(
        (),
        "edge of the picture in each of those epochs; by default the image size in all epochs",
        TUNING,
        limit=AT_LEAST_ONE,
    )
    batch_statistics: bool = option(
        False,
        "tune the picture tower with each batch's own mean and variance; better from a few thousand products on",
        TUNING,
    )
    freeze_stem: bool = option(
        False, "keep the picture tower's pretrained layers up to a stride of 4; a step takes 0.6 of the time", TUNING
    )
    image_rate: float = option(1e-4, "peak learning rate of the picture tower", TUNING, limit=POSITIVE)
    text_epochs: int = option(2, "epochs of the title tower; 0 leaves it as pretrained", TUNING, limit=COUNT)
    text_rate: float = option(3e-5, "peak learning rate of the title tower", TUNING, limit=POSITIVE)
    lexical_epochs: int = option(
        10, "epochs of the lexical tower, which reads the letters of a title", TUNING, limit=COUNT
    )
    lexical_damage: float = option(
        0.7, "share of damaged titles for the lexical tower, unless --damage-titles is 0", TUNING, limit=SHARE
    )
    lexical_rate: float = option(2e-2, "peak learning rate of the lexical tower", TUNING, limit=POSITIVE)
    damage_titles: float = option(
        0.4,
        "share of training titles that are damaged: mistyped, words lost, added, joined, split, shortened or reordered",
        TUNING,
        limit=SHARE,
    )
    batch_size: int = option(32, "products in a step of tuning", TUNING, limit=AT_LEAST_ONE)

    cross_fit: int = option(
        0,
        "parts of the training products; the fusions train on each part with encoders that were tuned on the others; "
        "0: with the served encoders",
        FUSION,
        limit=ZERO_OR_SEVERAL,
    )
    cross_fit_sizes: tuple[int, ...] = option(
        (),
        "edge of the picture in each epoch of the parts' image encoders; by default as for the served one",
        FUSION,
        limit=AT_LEAST_ONE,
    )
    head_epochs: int = option(
        30, "largest number of epochs of each single model's head on pretrained features", FUSION, limit=COUNT
    )
    fusion_epochs: int = option(10, "epochs of each fusion's head on cached features", FUSION, limit=COUNT)
    head_rate: float = option(1e-3, "peak learning rate of the single models' heads", FUSION, limit=POSITIVE)
    fusion_rate: float = option(1e-3, "peak learning rate of the fusions' heads", FUSION, limit=POSITIVE)
    joint_epochs: int = option(
        0, "epochs of tuning each learned fusion end to end; 0 keeps the encoders", FUSION, limit=COUNT
    )
    drop_image: float = option(
        0.15, "chance of hiding a product's picture from a fusion in training", FUSION, limit=SHARE
    )
    drop_text: float = option(0.25, "chance of hiding a product's title from a fusion in training", FUSION, limit=SHARE)
    damage_pictures: float = option(
        0.3,
        "share of training pictures that the fusions see partly covered or badly compressed",
        FUSION,
        limit=SHARE,
    )
    review_precision: float = option(
        PRECISION_TARGET, "precision, on validation, of the answers that need no review", FUSION, limit=POSITIVE_SHARE
    )
    set_coverage: float = option(
        0.95, "share of products whose set of classes, in an answer, holds the right one", FUSION, limit=POSITIVE_SHARE
    )
    attribute_weights: tuple[NamedWeight, ...] = option(
        (),
        f"weights of further attributes in the loss; {ATTRIBUTE_WEIGHT} if not named; the main attribute has 1",
        FUSION,
        limit=POSITIVE,
        metavar="NAME=WEIGHT",
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.image_sizes and len(self.image_sizes) != self.image_epochs:
            raise OptionsError(
                f"image_sizes must name an edge for each of {self.image_epochs} epochs, got {list(self.image_sizes)}"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the chosen models read."""
        read = {modality for name in self.models for modality in HEADS[name].modalities}
        return tuple(modality for modality in MODALITIES if not read or modality in read)

    @property
    def towers(self) -> tuple[str, ...]:
        """The towers whose single models are trained: those that the chosen models read."""
        read = {tower for name in self.models for tower in HEADS[name].towers} or set(TOWERS)
        return tuple(tower for tower in TOWERS if tower in read and not (tower == "lexical" and self.without_lexical))

    def as_dict(self) -> dict[str, Any]:
        """Values for JSON that decide the results; so the run folder is left out.

        A hash of the corrections' content replaces their path. Corrections and attribute weights are left out if there
        are none.

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

    def match(self, record: dict[str, Any]) -> bool:
        """True if a run with this record had equal options. Options that the record lacks had their default."""
        defaults = type(self)(source=self.source, out=self.out).as_dict()
        return {**defaults, **record} == self.as_dict()


CATALOG_OPTIONS: dict[str, Option] = {
    **options_of(CatalogOptions),
    "max_rejected": options_of(TrainOptions)["max_rejected"],
}
TRAIN_OPTIONS: dict[str, Option] = {**CATALOG_OPTIONS, **options_of(CommandOptions), **options_of(TrainOptions)}
