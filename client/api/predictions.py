"""Answers of the inference API: predictions, and predictions with an explanation."""

import dataclasses
from typing import Any, NamedTuple

from client.api.errors import ClientError


class ScoredClass(NamedTuple):
    """A class with its calibrated probability."""

    label: str
    score: float


class AttributeAnswer(NamedTuple):
    """The answer for a further attribute; fields as in :class:`Prediction`."""

    label: str
    score: float
    needs_review: bool


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer to one product.

    Args:
        label: the best class.
        score: its calibrated probability, 0..1.
        top: the best classes, most probable first.
        modalities: the modalities that the model read, of ``image`` and ``text``.
        needs_review: a person should check the answer; ``review`` has the reasons.
        review: ``unsure`` for a low score, ``picture_and_title_disagree``.
        set: the classes that hold the right one for a share of the products (``set_coverage``), best first; empty if
            the model promises nothing.
        set_within: labels of coarser attributes that all classes of the set share.
        computed: the towers that a cascade computed, cheapest first; empty for an archive without a cascade.
        not_read: the modalities that were sent and that a cascade did not read.
        model: ``name``, ``version`` and ``backend`` (the engine) that answered.
        attributes: answers for further attributes by name; empty if the model has one target.
    """

    label: str
    score: float
    top: tuple[ScoredClass, ...]
    modalities: tuple[str, ...]
    needs_review: bool
    model: dict[str, str]
    attributes: dict[str, AttributeAnswer] = dataclasses.field(default_factory=dict)
    review: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    set_within: dict[str, str] = dataclasses.field(default_factory=dict)
    computed: tuple[str, ...] = ()
    not_read: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Any) -> "Prediction":
        """Read an answer.

        Raises:
            ClientError: the document is not an answer of this project's handler.
        """
        try:
            return cls(
                label=str(document["label"]),
                score=float(document["score"]),
                top=tuple(ScoredClass(str(entry["label"]), float(entry["score"])) for entry in document["top"]),
                modalities=tuple(document["modalities"]),
                needs_review=bool(document["needs_review"]),
                model=dict(document["model"]),
                attributes={
                    str(name): AttributeAnswer(str(entry["label"]), float(entry["score"]), bool(entry["needs_review"]))
                    for name, entry in document.get("attributes", {}).items()
                },
                **{name: tuple(map(str, document.get(name, ()))) for name in ("review", "set", "computed", "not_read")},
                set_within={str(name): str(label) for name, label in document.get("set_within", {}).items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ClientError(f"the answer is not one of this project's handler ({type(error).__name__})") from error

    def as_dict(self) -> dict[str, Any]:
        """The answer as the server's JSON object."""
        top = [entry._asdict() for entry in self.top]
        values = {**dataclasses.asdict(self), "top": top, "modalities": list(self.modalities)}
        values |= {"attributes": {name: answer._asdict() for name, answer in self.attributes.items()}}
        values |= {name: list(values[name]) for name in ("review", "set", "computed", "not_read")}
        optional = ("attributes", "set", "set_within", "computed", "not_read")
        return {name: value for name, value in values.items() if value or name not in optional}


class TokenWeight(NamedTuple):
    """A word of a title, and its contribution to the log-odds of the answered class."""

    token: str
    weight: float


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The answer to one product, with the reasons for it.

    Args:
        prediction: the answer.
        text: the words that the model read, in order.
        grid: contribution of each part of the squared picture to the log-odds, row by row; None without a picture.
        modality: weights of ``image`` and ``text`` in the answer; they sum to 1.
    """

    prediction: Prediction
    text: tuple[TokenWeight, ...]
    grid: tuple[tuple[float, ...], ...] | None
    modality: dict[str, float]

    @classmethod
    def from_json(cls, document: Any) -> "Explanation":
        """Read an answer.

        Raises:
            ClientError: the document is not an answer of this project's handler.
        """
        prediction = Prediction.from_json(document)
        try:
            image = document["image"]
            return cls(
                prediction=prediction,
                text=tuple(TokenWeight(str(entry["token"]), float(entry["weight"])) for entry in document["text"]),
                grid=None if image is None else tuple(tuple(map(float, row)) for row in image["grid"]),
                modality={name: float(document["modality"][name]) for name in ("image", "text")},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ClientError(f"the answer is not one of this project's handler ({type(error).__name__})") from error

    def as_dict(self) -> dict[str, Any]:
        """The explanation as the server's JSON object."""
        image = None if self.grid is None else {"grid": [list(row) for row in self.grid]}
        text = [entry._asdict() for entry in self.text]
        return {**self.prediction.as_dict(), "text": text, "image": image, "modality": self.modality}
