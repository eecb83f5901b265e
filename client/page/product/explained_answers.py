"""Asks the server about one product: the explained answer, and the answers by picture alone and by title alone."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.management import Management
from client.api.predictions import Explanation, Prediction
from client.api.tokens import Tokens
from client.archives.model_store import ModelStore, read_member
from client.server.config import ServerConfig

TIMEOUT = 60.0
TOP_K = 5


class ModelChoice(NamedTuple):
    """A version of a model that the user can choose."""

    model: str
    version: str

    def __str__(self) -> str:
        return f"{self.model} {self.version}"

    @classmethod
    def named(cls, name: str) -> "ModelChoice":
        """The choice whose text this is."""
        model, version = name.rsplit(" ", 1)
        return cls(model, version)


@dataclasses.dataclass(frozen=True)
class ExplainedAnswer:
    """The answer of one version to one product.

    Args:
        choice: the version.
        explanation: the answer with its reasons.
        alone: answers by modality to that modality alone; empty if the model read only one.
        milliseconds: response time of the explanation.
        fit: how the version makes a picture square, ``pad`` or ``squash``.
        threshold: a person should review an answer with a lower score; None if the archive is on another machine.
    """

    choice: ModelChoice
    explanation: Explanation
    alone: dict[str, Prediction]
    milliseconds: float
    fit: str = "pad"
    threshold: float | None = None

    @property
    def prediction(self) -> Prediction:
        """The answer."""
        return self.explanation.prediction


@dataclasses.dataclass(frozen=True)
class PageServer:
    """The requests of the page to a running server; safe to use from several threads.

    Args:
        config: the server's addresses.
        tokens: the server's tokens.
        client: client of the inference API.
        management: client of the management API.
    """

    config: ServerConfig
    tokens: Tokens
    client: ProductClient
    management: Management
    _settings: dict[ModelChoice, Mapping[str, Any]] = dataclasses.field(default_factory=dict, init=False)

    def choices(self) -> list[ModelChoice]:
        """Versions with READY workers, the default versions first.

        Raises:
            ClientError: the server does not answer, or no worker is READY.
        """
        models = self.management.models()
        found = [entry for model in models for entry in self.management.versions(model) if entry.ready]
        if not found:
            there = ", ".join(models)
            state = f"no worker of {there} is READY yet" if models else "no model is registered"
            raise ClientError(f"the server is running, but {state}; `python -m client ready` gives the reason")
        loaded = self.config.load_models[0].split("=")[-1].removesuffix(".mar") if self.config.load_models else ""
        found.sort(key=lambda entry: (entry.model != loaded, not entry.default, entry.model, entry.version))
        return [ModelChoice(entry.model, entry.version) for entry in found]

    def standing(self, name: str | None) -> tuple[ModelChoice, str]:
        """The version that answers for a chosen one, and a sentence if it is another one.

        Args:
            name: text of the choice; None takes the first version.

        Raises:
            ClientError: see :meth:`choices`.
        """
        there = self.choices()
        if name is None:
            return there[0], ""
        wanted = ModelChoice.named(name)
        if wanted in there:
            return wanted, ""
        other = next((each for each in there if each.model == wanted.model), there[0])
        return other, f"{wanted} is not served any more: {other} answers."

    def labels(self, choice: ModelChoice) -> list[str]:
        """Classes of the version's main attribute; none if its archive is on another machine."""
        return [str(label) for label in self._main_attribute(choice).get("labels", ())]

    def attribute(self, choice: ModelChoice) -> str:
        """Name of the version's main attribute, the catalogue's column of its labels; "" if that is not known."""
        return str(self._main_attribute(choice).get("name", ""))

    def explain(self, choices: Sequence[ModelChoice], image: bytes | None, text: str | None) -> list[ExplainedAnswer]:
        """Ask some versions about one product.

        Args:
            choices: one or two.
            image: the encoded picture.
            text: the title.

        Raises:
            ClientError: the server does not answer, or refuses the product; the message gives the reason.
        """
        return [self._explain(choice, image, text) for choice in choices]

    def _explain(self, choice: ModelChoice, image: bytes | None, text: str | None) -> ExplainedAnswer:
        model, version = choice
        began = time.perf_counter()
        explanation = self.client.explain(image, text, top_k=TOP_K, model=model, version=version)
        spent = 1000 * (time.perf_counter() - began)
        alone = {"image": (image, None), "text": (None, text)} if len(explanation.prediction.modalities) > 1 else {}
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(
                lambda product: self.client.predict(*product, top_k=TOP_K, model=model, version=version),
                alone.values(),
            )
            by_modality = dict(zip(alone, answers, strict=True))
        return ExplainedAnswer(
            choice,
            explanation,
            by_modality,
            spent,
            str(self._settings_of(choice).get("image_fit", "pad")),
            review_threshold(self._settings_of(choice), explanation.prediction.modalities),
        )

    def _main_attribute(self, choice: ModelChoice) -> Mapping[str, Any]:
        attributes = self._settings_of(choice).get("attributes") or [{}]
        return dict(attributes[0])

    def _settings_of(self, choice: ModelChoice) -> Mapping[str, Any]:
        """``settings.json`` of the version's archive; empty if the archive is on another machine."""
        if choice not in self._settings:
            try:
                archive = ModelStore(self.config.model_store).version(*choice).path
                self._settings[choice] = dict(read_member(archive, "settings.json"))
            except ClientError:
                self._settings[choice] = {}
        return self._settings[choice]


def review_threshold(settings: Mapping[str, Any], modalities: Sequence[str]) -> float | None:
    """The score of the main attribute below which a person should look; None without settings.

    Args:
        settings: ``settings.json`` of an archive.
        modalities: that the product has; a picture alone and a title alone have thresholds of their own.
    """
    own = [each for each in settings.get("one_modality", ()) if [each["modality"]] == [*modalities]]
    if own:
        return float(own[0]["review_thresholds"][0])
    attributes = settings.get("attributes")
    return float(attributes[0].get("review_threshold", 0.0)) if attributes else None
