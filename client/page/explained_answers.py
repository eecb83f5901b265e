"""Asks the server about one product: the explained answer, and the answers by picture alone and by title alone."""

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

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


@dataclasses.dataclass(frozen=True)
class ExplainedAnswer:
    """The answer of one version to one product.

    Args:
        choice: the version.
        explanation: the answer with its reasons.
        alone: answers by modality to that modality alone; empty if the model read only one.
        milliseconds: response time of the explanation.
        fit: how the version makes a picture square, ``pad`` or ``squash``.
    """

    choice: ModelChoice
    explanation: Explanation
    alone: dict[str, Prediction]
    milliseconds: float
    fit: str = "pad"

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
    _fits: dict[ModelChoice, str] = dataclasses.field(default_factory=dict, init=False)

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
            return ExplainedAnswer(
                choice, explanation, dict(zip(alone, answers, strict=True)), spent, self._fit(choice)
            )

    def _fit(self, choice: ModelChoice) -> str:
        """``image_fit`` of the version's archive; the default ``pad`` if the archive is on another machine."""
        if choice not in self._fits:
            try:
                archive = ModelStore(self.config.model_store).version(*choice).path
                self._fits[choice] = str(read_member(archive, "settings.json").get("image_fit", "pad"))
            except ClientError:
                self._fits[choice] = "pad"
        return self._fits[choice]
