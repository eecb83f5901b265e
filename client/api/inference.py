"""Ask a running server what products are.

>>> with ProductClient() as client:                                                      # doctest: +SKIP
...     client.predict("shoe.jpg", "Puma Men Running Shoe").label
'Shoes'
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from client.api.connection import ApiClient
from client.api.errors import ClientError, ServerError
from client.api.predictions import Explanation, Prediction
from client.api.tokens import Tokens

INFERENCE_URL = "http://127.0.0.1:8080"
DEFAULT_MODEL = "intermediate"
MAX_INSTANCES = 64
# Of the server's 6.5 MB a request, with room for a request's own characters.
MAX_BODY = 6_000_000

Image = str | os.PathLike[str] | bytes


class Product(NamedTuple):
    """A product to ask about; one of the two may be missing."""

    image: Image | None = None
    text: str | None = None


class ProductClient(ApiClient):
    """A client of the inference API.

    Args:
        url: scheme, host and port.
        tokens: of that server; the key file of the working folder by default.
        timeout: seconds to wait for an answer.
        transport: replaces the network; for tests.
    """

    def __init__(
        self,
        url: str = INFERENCE_URL,
        *,
        tokens: Tokens | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, role="inference", tokens=tokens or Tokens(), timeout=timeout, transport=transport)

    def predict(
        self,
        image: Image | None = None,
        text: str | None = None,
        *,
        top_k: int | None = None,
        model: str = DEFAULT_MODEL,
        version: str | None = None,
    ) -> Prediction:
        """Classify one product.

        Args:
            image: a file's path, or the encoded picture itself.
            text: the title.
            top_k: how many classes to list; the server's default otherwise.
            model: registered name.
            version: to the letter; the model's default otherwise.

        Raises:
            ServerError: the server refuses the product, the model or the token; ``type`` and ``code`` tell.
            ServerDown, ServerTimeout: no answer.
            ClientError: the picture's file cannot be read.
        """
        return Prediction.from_json(self._ask(_path(model, version), image, text, top_k))

    def explain(
        self,
        image: Image | None = None,
        text: str | None = None,
        *,
        top_k: int | None = None,
        model: str = DEFAULT_MODEL,
        version: str | None = None,
    ) -> Explanation:
        """Classify one product and ask what decided: which words, which part of the picture, which of the two.

        Costs up to ten times as much as :meth:`predict`, whose arguments and errors it has.
        """
        return Explanation.from_json(self._ask(_path(model, version, api="explanations"), image, text, top_k))

    def predict_many(
        self,
        products: Iterable[Product | tuple[Image | None, str | None]],
        *,
        top_k: int | None = None,
        model: str = DEFAULT_MODEL,
        version: str | None = None,
    ) -> list[Prediction | ServerError]:
        """Classify products, as many a request as the server takes.

        Args:
            products: picture and title of each.
            top_k: as in :meth:`predict`.
            model: as in :meth:`predict`.
            version: as in :meth:`predict`.

        Returns:
            In the order of ``products`` a prediction, or what is wrong with that product.

        Raises:
            ServerError: a request as a whole is refused.
            ServerDown, ServerTimeout: no answer.
            ClientError: a picture's file cannot be read.
        """
        instances = (_instance(image, text, top_k) for image, text in products)
        return [answer for group in _groups(instances) for answer in self._predict_group(group, _path(model, version))]

    def _ask(self, path: str, image: Image | None, text: str | None, top_k: int | None) -> dict[str, Any]:
        fields = {name: value for name, value in {"text": text, "top_k": top_k}.items() if value is not None}
        content = _read_image(image)
        if content is None:
            body: dict[str, Any] = {"json": fields}
        else:
            body = {"data": fields, "files": {"image": ("image", content, "application/octet-stream")}}
        return _document(self._connection.request("POST", path, **body))

    def _predict_group(self, instances: Sequence[str], path: str) -> list[Prediction | ServerError]:
        content = '{"instances": [' + ", ".join(instances) + "]}"
        response = self._connection.request(
            "POST", path, content=content.encode(), headers={"Content-Type": "application/json"}
        )
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
        raise ClientError("the answer is not JSON; the model is not served by this project's handler") from error
    return document if isinstance(document, dict) else {}


def _read_image(image: Image | None) -> bytes | None:
    if image is None or isinstance(image, bytes):
        return image
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise ClientError(f"{os.fspath(image)}: the picture cannot be read ({error.strerror})") from error


def _instance(image: Image | None, text: str | None, top_k: int | None) -> str:
    content = _read_image(image)
    encoded = None if content is None else base64.b64encode(content).decode("ascii")
    fields = {"image": encoded, "text": text, "top_k": top_k}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def _groups(instances: Iterable[str]) -> Iterator[list[str]]:
    """Groups that the server takes in one request each; one that is too long alone stays alone."""
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
