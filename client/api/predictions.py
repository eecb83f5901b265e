"""Answers of the inference API as values: a prediction, and an explanation of one."""

import dataclasses
from typing import Any, NamedTuple

from client.api.errors import ClientError


class Scored(NamedTuple):
    """A class with its calibrated probability."""

    label: str
    score: float


class AttributeAnswer(NamedTuple):
    """What a model says of a further attribute; the fields are as those of :class:`Prediction`."""

    label: str
    score: float
    needs_review: bool


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer to one product.

    Args:
        label: the best class.
        score: its calibrated probability.
        top: the best classes, in order.
        modalities: what the model read of the product.
        needs_review: the score is too low to go without a person's look.
        model: name, version and engine (as ``backend``) that answered.
        attributes: by name, what the model tells besides ``label``; none of a model of a single target.
    """

    label: str
    score: float
    top: tuple[Scored, ...]
    modalities: tuple[str, ...]
    needs_review: bool
    model: dict[str, str]
    attributes: dict[str, AttributeAnswer] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, document: Any) -> "Prediction":
        """Read an answer.

        Raises:
            ClientError: it is not of the form that our handler answers in.
        """
        try:
            return cls(
                label=str(document["label"]),
                score=float(document["score"]),
                top=tuple(Scored(str(entry["label"]), float(entry["score"])) for entry in document["top"]),
                modalities=tuple(document["modalities"]),
                needs_review=bool(document["needs_review"]),
                model=dict(document["model"]),
                attributes={
                    str(name): AttributeAnswer(str(said["label"]), float(said["score"]), bool(said["needs_review"]))
                    for name, said in document.get("attributes", {}).items()
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ClientError(f"the answer is not one of this project's handler ({type(error).__name__})") from error

    def as_dict(self) -> dict[str, Any]:
        """The answer as the server's JSON object."""
        top = [entry._asdict() for entry in self.top]
        values = {**dataclasses.asdict(self), "top": top, "modalities": list(self.modalities)}
        del values["attributes"]
        said = {name: each._asdict() for name, each in self.attributes.items()}
        return {**values, "attributes": said} if said else values


class Weight(NamedTuple):
    """A word of a title, and what it adds to the log-odds of the answered class."""

    token: str
    weight: float


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The answer to one product, with what decided it.

    Args:
        prediction: the answer.
        text: the words that the model read, in order.
        grid: what each part of the square that the model read adds to the log-odds, row by row; None without a picture.
        modality: shares of ``image`` and ``text``; they add up to 1.
    """

    prediction: Prediction
    text: tuple[Weight, ...]
    grid: tuple[tuple[float, ...], ...] | None
    modality: dict[str, float]

    @classmethod
    def from_json(cls, document: Any) -> "Explanation":
        """Read an answer.

        Raises:
            ClientError: it is not of the form that our handler answers in.
        """
        prediction = Prediction.from_json(document)
        try:
            image = document["image"]
            return cls(
                prediction=prediction,
                text=tuple(Weight(str(entry["token"]), float(entry["weight"])) for entry in document["text"]),
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
