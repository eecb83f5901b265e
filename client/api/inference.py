"""Classify products at a running server.

>>> with ProductClient() as client:                                                      # doctest: +SKIP
...     client.predict("shoe.jpg", "Puma Men Running Shoe").label
'Shoes'
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from client.api.connection import ApiClient
from client.api.errors import ClientError, ServerError
from client.api.predictions import Explanation, Prediction

INFERENCE_URL = "http://127.0.0.1:8080"
DEFAULT_MODEL = "intermediate"
MAX_INSTANCES = 64
# Bytes of products in a request. The server takes 6.5 MB; the rest is for the JSON around them.
MAX_BODY = 6_000_000

Image = str | os.PathLike[str] | bytes


class Product(NamedTuple):
    """A product: a picture, a title or both."""

    image: Image | None = None
    text: str | None = None


class ProductClient(ApiClient):
    """A client of the inference API; the arguments are those of :class:`client.api.connection.ApiClient`."""

    role = "inference"
    default_url = INFERENCE_URL

    def predict(
        self,
        image: Image | None = None,
        text: str | None = None,
        *,
        top_k: int | None = None,
        model: str = DEFAULT_MODEL,
        version: str | None = None,
        full: bool = False,
    ) -> Prediction:
        """Classify one product.

        Args:
            image: path of a picture, or its encoded bytes.
            text: the title.
            top_k: number of classes to list; None takes the model's default.
            model: registered name.
            version: exact version; None takes the default version.
            full: compute all towers, also where a cascade would answer earlier.

        Raises:
            ServerError: the server refuses the product, the model or the token; see its ``type`` and ``code``.
            ServerDown, ServerTimeout: the server does not answer.
            ClientError: the picture cannot be read.
        """
        return Prediction.from_json(self._ask(_path(model, version), image, text, _options(top_k, full=full)))

    def explain(
        self,
        image: Image | None = None,
        text: str | None = None,
        *,
        top_k: int | None = None,
        model: str = DEFAULT_MODEL,
        version: str | None = None,
    ) -> Explanation:
        """Classify one product and explain the answer by words, parts of the picture, and the weight of each modality.

        Takes up to ten times as long as :meth:`predict`. Arguments and errors are the same.
        """
        return Explanation.from_json(self._ask(_path(model, version, api="explanations"), image, text, _options(top_k)))

    def predict_many(
        self,
        products: Iterable[Product | tuple[Image | None, str | None]],
        *,
        top_k: int | None = None,
        model: str = DEFAULT_MODEL,
        version: str | None = None,
        full: bool = False,
    ) -> list[Prediction | ServerError]:
        """Classify many products in as few requests as the server's limits allow.

        Args:
            products: pairs of a picture and a title.
            top_k: as in :meth:`predict`.
            model: as in :meth:`predict`.
            version: as in :meth:`predict`.
            full: as in :meth:`predict`.

        Returns:
            For each product, in order, its prediction or its error.

        Raises:
            ServerError: the server refuses a whole request.
            ServerDown, ServerTimeout: the server does not answer.
            ClientError: a picture cannot be read.
        """
        instances = (_instance(image, text, _options(top_k, full=full)) for image, text in products)
        return [answer for group in _groups(instances) for answer in self._predict_group(group, _path(model, version))]

    def _ask(self, path: str, image: Image | None, text: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
        fields = {**({} if text is None else {"text": text}), **options}
        content = _read_image(image)
        if content is None:
            body: dict[str, Any] = {"json": fields}
        else:
            body = {"data": fields, "files": {"image": ("image", content, "application/octet-stream")}}
        return _document(self.request("POST", path, **body))

    def _predict_group(self, instances: Sequence[str], path: str) -> list[Prediction | ServerError]:
        content = '{"instances": [' + ", ".join(instances) + "]}"
        response = self.request("POST", path, content=content.encode(), headers={"Content-Type": "application/json"})
        answers = _document(response).get("predictions")
        if not isinstance(answers, list) or len(answers) != len(instances):
            raise ClientError("the answer does not hold one prediction for each product")
        return [_answer(answer) for answer in answers]


def _answer(document: Any) -> Prediction | ServerError:
    if isinstance(document, dict) and "code" in document:
        return ServerError(int(document["code"]), str(document.get("type")), str(document.get("message")))
    return Prediction.from_json(document)


def _path(model: str, version: str | None, *, api: str = "predictions") -> str:
    names = [model] if version is None else [model, version]
    return f"/{api}/" + "/".join(quote(name, safe="") for name in names)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise ClientError("the answer is not JSON, so another handler serves this model") from error
    return document if isinstance(document, dict) else {}


def _read_image(image: Image | None) -> bytes | None:
    if image is None or isinstance(image, bytes):
        return image
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise ClientError(f"{os.fspath(image)}: the picture cannot be read ({error.strerror})") from error


def _options(top_k: int | None, *, full: bool = False) -> dict[str, Any]:
    """The fields of a request beside the product; those with their default are left out."""
    return {**({} if top_k is None else {"top_k": top_k}), **({"effort": "full"} if full else {})}


def _instance(image: Image | None, text: str | None, options: Mapping[str, Any]) -> str:
    content = _read_image(image)
    encoded = None if content is None else base64.b64encode(content).decode("ascii")
    fields = {"image": encoded, "text": text, **options}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def _groups(instances: Iterable[str]) -> Iterator[list[str]]:
    """Groups that fit one request each; an instance longer than a request is a group by itself."""
    group: list[str] = []
    length = 0
    for instance in instances:
        if group and (len(group) == MAX_INSTANCES or length + len(instance) > MAX_BODY):
            yield group
            group, length = [], 0
        group.append(instance)
        length += len(instance)
    if group:
        yield group
