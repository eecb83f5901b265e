"""Settings of a trained model: its attributes, preprocessing, calibration and limits.

Training writes ``settings.json`` beside the weights, the archive carries it, and the handler reads it. These
values have no other definition.
"""

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engines.table import AUTO, ENGINE_NAMES
from .titles.ngrams import MAX_NGRAMS

MODALITIES = ("image", "text")
IMAGE_FITS = ("pad", "squash")
ZERO_ALLOWED = ("cache_mib",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute:
    """A property of a product that the model predicts: a slice of the logits with its own softmax.

    Args:
        name: catalogue column of the labels.
        labels: class names, in the order of the logits.
        temperature: divides the logits before the softmax.
        review_threshold: a person should review an answer with a lower score.
        set_threshold: the least score of a class in the set, see ``set_coverage``; 0 gives no set.

    Raises:
        ValueError: a value is outside its range; the message names the attribute.
    """

    name: str
    labels: tuple[str, ...]
    temperature: float = 1.0
    review_threshold: float = 0.0
    set_threshold: float = 0.0

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels of {self.name!r} must be distinct and at least one, got {len(self.labels)}")
        if not self.temperature > 0:
            raise ValueError(f"temperature of {self.name!r} must be > 0, got {self.temperature}")
        if not 0 <= self.review_threshold <= 1:
            raise ValueError(f"review_threshold of {self.name!r} must be in [0, 1], got {self.review_threshold}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """Attributes that the first one determines: a shoe is always footwear.

    Args:
        attributes: names, finest first.
        combinations: for each label of the first attribute, the labels of all these attributes, as indices.
        temperature: of the joint probability, see :mod:`product_serving.hierarchy`.
    """

    attributes: tuple[str, ...]
    combinations: tuple[tuple[int, ...], ...]
    temperature: float = 1.0

    @functools.cached_property
    def label_indices(self) -> NDArray[np.int64]:
        """(combinations, attributes): the combinations as an array."""
        return np.array(self.combinations, dtype=np.int64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneModality:
    """Calibration for products with only one modality.

    Args:
        modality: the one that the product has.
        temperatures: A values, in the order of :attr:`ProductSettings.attributes`.
        review_thresholds: A values, in the same order.
        hierarchy_temperatures: one for each of :attr:`ProductSettings.hierarchies`.
        set_thresholds: A values, in the same order; empty for none.
    """

    modality: str
    temperatures: tuple[float, ...]
    review_thresholds: tuple[float, ...]
    hierarchy_temperatures: tuple[float, ...] = ()
    set_thresholds: tuple[float, ...] = ()

    def applied_to(self, settings: "ProductSettings") -> "ProductSettings":
        """Return the settings with this calibration.

        Raises:
            ValueError: the number of values is wrong, or a value is outside its range.
        """
        sets = self.set_thresholds or (0.0,) * len(settings.attributes)
        fitted = zip(settings.attributes, self.temperatures, self.review_thresholds, sets, strict=True)
        joint = zip(settings.hierarchies, self.hierarchy_temperatures, strict=True)
        return dataclasses.replace(
            settings,
            attributes=tuple(
                dataclasses.replace(attribute, temperature=temperature, review_threshold=threshold, set_threshold=least)
                for attribute, temperature, threshold, least in fitted
            ),
            hierarchies=tuple(dataclasses.replace(each, temperature=value) for each, value in joint),
            one_modality=(),
            cascade=None,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cascade:
    """Exits of a fusion, see :mod:`product_serving.cascade`. A threshold above 1 closes its exit.

    Args:
        letters: calibration of the lexical model's answers.
        letters_threshold: the least score of its answer that stands, for a product with a picture.
        letters_alone_threshold: the same for a title alone.
        title_threshold: the least score of the fusion's answer to the title of a product with a picture.
        sample: one of so many products is computed in full all the same.
        min_agreement: share of answers with the same class as in full; the exits shut below it.
    """

    letters: OneModality
    letters_threshold: float
    letters_alone_threshold: float
    title_threshold: float
    sample: int = 50
    min_agreement: float = 0.995


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProductSettings:
    """Settings of one trained model.

    Args:
        model: registry name of the architecture (``image``, ``text``, ``early``, ``intermediate``, ``late``).
        attributes: the A >= 1 predicted attributes, in the order of the logits' last dimension. The first is the main
            attribute: it gives an answer's ``label`` and ``score``.
        modalities: those that the model reads, a non-empty subset of ``MODALITIES``.
        image_size: height and width of the graph's input picture, in pixels.
        image_fit: ``pad`` keeps proportions on a white square, ``squash`` stretches.
        max_tokens: longest title in WordPiece tokens, ``[CLS]`` and ``[SEP]`` included; longer titles are cut.
        lexical: the model has the lexical tower, which reads the ids of a title's letters.
        review_precision: precision on the validation part that each ``review_threshold`` aims for.
        set_coverage: share of the products for which the set of classes holds the right one.
        default_top_k: number of classes answered if the request does not say.
        max_top_k: the most classes a request may ask for.
        max_instances: the most products in one JSON request.
        max_explained: the most products in one request for explanations; one explanation costs up to ten answers.
        max_batch: the most products in one batch for the engine.
        max_image_bytes: the longest encoded picture, in bytes.
        max_image_pixels: the most pixels of a picture, by its header; checked before decoding.
        max_request_pixels: the most pixels of all pictures in one JSON request together.
        max_image_ratio: the largest ratio of the longer to the shorter of height and width.
        min_image_side: the smallest height or width, in pixels.
        max_text_chars: the longest title, in characters before normalisation.
        hierarchies: dependences between attributes; an attribute is in at most one.
        one_modality: calibration for products with only one modality; empty if the model reads only one.
        conflict_threshold: picture and title are in conflict below this agreement (``Outputs``); None if nothing tells.
        cascade: exits before all towers are computed; None for none.
        engine: ``auto``, or a name from :data:`product_serving.engines.table.ENGINES`, which forces that engine.
        cache_mib: memory for the cache of logits, in MiB; 0 turns the cache off.

    Raises:
        ValueError: a value is outside its range; the message names the field.
    """

    model: str
    attributes: tuple[Attribute, ...]
    modalities: tuple[str, ...] = MODALITIES
    image_size: int = 224
    image_fit: str = "pad"
    max_tokens: int = 32
    lexical: bool = False
    review_precision: float = 0.95
    set_coverage: float = 0.95
    default_top_k: int = 5
    max_top_k: int = 20
    max_instances: int = 64
    max_explained: int = 4
    max_batch: int = 32
    max_image_bytes: int = 6_000_000
    max_image_pixels: int = 25_000_000
    max_request_pixels: int = 100_000_000
    max_image_ratio: float = 20.0
    min_image_side: int = 2
    max_text_chars: int = 10_000
    engine: str = AUTO
    cache_mib: float = 0
    hierarchies: tuple[Hierarchy, ...] = ()
    one_modality: tuple[OneModality, ...] = ()
    conflict_threshold: float | None = None
    cascade: Cascade | None = None

    def __post_init__(self) -> None:
        names = [attribute.name for attribute in self.attributes]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"attributes must be distinct and at least one, got {names}")
        if not self.modalities or not set(self.modalities) <= set(MODALITIES):
            raise ValueError(f"modalities must be a non-empty subset of {MODALITIES}, got {self.modalities}")
        if self.image_fit not in IMAGE_FITS:
            raise ValueError(f"image_fit must be one of {IMAGE_FITS}, got {self.image_fit!r}")
        if self.engine not in (AUTO, *ENGINE_NAMES):
            raise ValueError(f"engine must be one of {(AUTO, *ENGINE_NAMES)}, got {self.engine!r}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float) and field.name not in ZERO_ALLOWED and not value > 0:
                raise ValueError(f"{field.name} must be > 0, got {value}")
        if self.max_image_ratio > self.image_size:  # padded to a square, the shorter side would be under one pixel
            raise ValueError(f"max_image_ratio must be <= image_size, got {self.max_image_ratio}")
        if not 0 <= self.cache_mib < float("inf"):
            raise ValueError(f"cache_mib must be >= 0, got {self.cache_mib}")
        _check_hierarchies(self.hierarchies, dict(zip(names, self.sizes, strict=True)))
        if unknown := {each.modality for each in self.one_modality} - set(self.modalities):
            raise ValueError(f"one_modality must name what the model reads, got {sorted(unknown)}")
        _ = self._by_modality, self.of_letters

    @property
    def main(self) -> Attribute:
        """The first attribute."""
        return self.attributes[0]

    @property
    def target(self) -> str:
        """The name of the first attribute."""
        return self.main.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names of the first attribute."""
        return self.main.labels

    @property
    def max_ngrams(self) -> int:
        """The most ids of a title's letters; 1, for padding, if the model does not read them."""
        return MAX_NGRAMS if self.lexical else 1

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """(A,) number of classes of each attribute; their sum is C."""
        return tuple(len(attribute.labels) for attribute in self.attributes)

    @functools.cached_property
    def slices(self) -> dict[str, slice]:
        """For each attribute's name: the slice of its logits and scores on the last axis."""
        ends = itertools.accumulate(self.sizes, initial=0)
        return {each.name: slice(*span) for each, span in zip(self.attributes, itertools.pairwise(ends), strict=True)}

    @functools.cached_property
    def starts(self) -> NDArray[np.int64]:
        """(A,) index of each attribute's first logit."""
        return np.array([part.start for part in self.slices.values()])

    @functools.cached_property
    def owners(self) -> NDArray[np.int64]:
        """(C,) index of each logit's attribute."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @functools.cached_property
    def temperatures(self) -> NDArray[np.float64]:
        """(C,) temperature of each logit."""
        return np.array([attribute.temperature for attribute in self.attributes])[self.owners]

    @functools.cached_property
    def columns(self) -> dict[tuple[str, ...], NDArray[np.int64]]:
        """For each hierarchy's attributes: (attributes, combinations), the index of each label's logit."""
        return {
            each.attributes: each.label_indices.T + np.array([[self.slices[name].start] for name in each.attributes])
            for each in self.hierarchies
        }

    @functools.cached_property
    def memberships(self) -> dict[str, NDArray[np.float64]]:
        """For each attribute in a hierarchy: (combinations, classes), 1 if the combination has the label, else 0."""
        sizes = dict(zip(self.slices, self.sizes, strict=True))
        return {
            name: (indices[:, None] == np.arange(sizes[name])).astype(np.float64)
            for hierarchy in self.hierarchies
            for name, indices in zip(hierarchy.attributes, hierarchy.label_indices.T, strict=True)
        }

    def for_modalities(self, modalities: Sequence[str]) -> "ProductSettings":
        """Return the settings for products with these modalities."""
        return self._by_modality.get(tuple(modalities), self)

    @functools.cached_property
    def of_letters(self) -> "ProductSettings":
        """The settings for answers of a cascade's lexical model."""
        return self if self.cascade is None else self.cascade.letters.applied_to(self)

    @functools.cached_property
    def _by_modality(self) -> dict[tuple[str, ...], "ProductSettings"]:
        return {(each.modality,): each.applied_to(self) for each in self.one_modality}

    @classmethod
    def from_json(cls, path: Path | str) -> "ProductSettings":
        """Read ``settings.json``.

        Raises:
            ValueError: the file is not a JSON object, or holds an unknown key or an invalid value.
            OSError: the file cannot be read.
        """
        values: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{Path(path).name} must hold a JSON object, got {type(values).__name__}")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"{Path(path).name} has settings {unknown} of another version of this package")
        values = _tuples(values)
        for name, kind in (("attributes", Attribute), ("hierarchies", Hierarchy), ("one_modality", OneModality)):
            values[name] = tuple(kind(**entry) for entry in values.get(name, ()))
        if cascade := values.get("cascade"):
            values["cascade"] = Cascade(**{**cascade, "letters": OneModality(**cascade["letters"])})
        return cls(**values)

    def to_json(self) -> str:
        """Return the settings as JSON text; :meth:`from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def present_modalities(present: Iterable[bool | np.bool_]) -> tuple[str, ...]:
    """Names of the present modalities, from flags in the order of ``MODALITIES``."""
    return tuple(name for name, is_present in zip(MODALITIES, present, strict=True) if is_present)


def _check_hierarchies(hierarchies: tuple[Hierarchy, ...], classes: dict[str, int]) -> None:
    seen: set[str] = set()
    for each in hierarchies:
        if unknown := [name for name in each.attributes if name not in classes or name in seen]:
            raise ValueError(f"hierarchies must name known attributes, each at most once, got {unknown}")
        seen |= set(each.attributes)
        sizes = [classes[name] for name in each.attributes]
        valid = all(
            len(labels) == len(sizes) and all(0 <= label < size for label, size in zip(labels, sizes, strict=True))
            for labels in each.combinations
        )
        if not valid or [labels[0] for labels in each.combinations] != list(range(sizes[0])):
            raise ValueError(f"hierarchies: the combinations of {each.attributes} must name a label of each, in order")


def _tuples(value: Any) -> Any:
    """Convert JSON lists to tuples, at any depth."""
    if isinstance(value, dict):
        return {name: _tuples(entry) for name, entry in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
