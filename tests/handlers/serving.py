"""A worker of TorchServe around the handler, without the server: real rows, headers, statuses and encoded replies."""

import base64
import hashlib
import json
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ts.context import Context, RequestProcessor
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.service import Service

from handlers.product_handler import ProductHandler
from handlers.product_serving.archive import MANIFEST, SUMS, format_sums
from handlers.product_serving.engines.engine import Batch, Outputs, Parts

METRICS = Path(__file__).parents[2] / "deploy" / "metrics.yaml"
LABELS = ("Shirts", "Shoes", "Bags", "Montres à gousset")
TITLES = ("Nike Men Blue Running Shoes", "Red Cotton Shirt", "Leather Hand Bag", "Silver Watch for Men")
Request = tuple[Mapping[str, str], Sequence[tuple[str, bytes, str]]]


class Answer(NamedTuple):
    """One request as the front end sends it."""

    status: int
    phrase: str
    content_type: str
    body: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def metrics_cache() -> MetricsCacheYamlImpl:
    """TorchServe's record of the metrics that we declare."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it reads the file without closing it
        cache = MetricsCacheYamlImpl(str(METRICS))
    cache.initialize_cache()
    return cache


class OnlyLogits:
    """An engine that computes logits as a function does, and no agreement.

    Args:
        run: a batch -> logits (B, C).
    """

    tolerance = 1e-3

    def __init__(self, run: Callable[[Batch], NDArray[np.float32]]) -> None:
        self._run = run

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        return self._run(batch)

    def outputs(self, batch: Batch) -> Outputs:
        logits = self(batch)
        return Outputs(logits, np.zeros(len(logits), np.float32))

    def parts(self) -> Parts:
        raise NotImplementedError


class Worker:
    """TorchServe's worker service around a handler: it decodes, calls the handler and encodes for the front end."""

    def __init__(self, folder: Path, *, gpu: int | None = None, model_name: str = "tiny") -> None:
        self.handler = ProductHandler()
        manifest = {"model": {"modelName": model_name, "modelVersion": "1.0", "handler": "product_handler.py"}}
        metrics = metrics_cache()
        metrics.model_name = model_name
        self._service = Service(model_name, str(folder), manifest, self.handler.handle, gpu, 8, True, metrics)
        self._service.set_cl_socket(None)
        self.handler.initialize(self._service.context)
        # A report of one test must not interrupt another test that reads reports.
        self.handler.metrics._interval = 3600

    def handler_context(self, content_types: Sequence[str]) -> Context:
        """The context of a batch, to call the handler with rows that the front end would not send."""
        context: Context = self._service.context
        context.request_ids = {number: str(number) for number in range(len(content_types))}
        context.request_processor = [RequestProcessor({"Content-Type": kind}) for kind in content_types]
        return context

    def ask(self, *requests: Request) -> list[Answer]:
        """Answer one batch."""
        batch = [
            {
                "requestId": str(number).encode(),
                "headers": [{"name": name.encode(), "value": value.encode()} for name, value in headers.items()],
                "parameters": [
                    {"name": name, "value": bytearray(value), "contentType": kind} for name, value, kind in parameters
                ],
            }
            for number, (headers, parameters) in enumerate(requests)
        ]
        return decode_reply(bytes(self._service.predict(batch)))


def decode_reply(message: bytes) -> list[Answer]:
    """What the front end reads; see ``create_predict_response`` in ``ts/protocol/otf_message_handler.py``."""
    position = 0

    def number() -> int:
        nonlocal position
        position += 4
        return int(struct.unpack_from("!i", message, position - 4)[0])

    def text() -> str:
        nonlocal position
        length = number()
        position += length
        return message[position - length : position].decode("utf-8")

    code, phrase = number(), text()
    assert code == 200, phrase
    answers = []
    while (length := number()) != -1:
        position += length
        content_type, status, phrase = text(), number(), text()
        headers = {text(): text() for _ in range(number())}
        answers.append(Answer(status, phrase, content_type, text(), headers))
    return answers


def same(one: Answer, other: Answer) -> bool:
    """Equal answers, scores within 1e-5."""
    if one.status != 200 or other.status != 200:
        return one == other
    close = all(abs(a["score"] - b["score"]) <= 1e-5 for a, b in zip(one.json["top"], other.json["top"], strict=True))
    return close and _without_scores(one) == _without_scores(other)


def _without_scores(answer: Answer) -> dict[str, Any]:
    top = [entry["label"] for entry in answer.json["top"]]
    return {**answer.json, "score": None, "top": top}


def form(**fields: bytes | str) -> Request:
    """A multipart form."""
    parts = [
        (name, value, "image/jpeg") if isinstance(value, bytes) else (name, value.encode(), "")
        for name, value in fields.items()
    ]
    return {"Content-Type": "multipart/form-data; boundary=x", "explain": "False"}, parts


def bare(content: bytes, content_type: str | None = None) -> Request:
    """A body that is no form."""
    headers = {"explain": "False"} | ({} if content_type is None else {"Content-Type": content_type})
    return headers, [("body", content, (content_type or "").split(";")[0])]


def document(value: Any) -> Request:
    """A JSON body; bytes are sent as they are."""
    return bare(value if isinstance(value, bytes) else json.dumps(value).encode(), "application/json")


def explained(request: Request) -> Request:
    """The same request, sent to /explanations; TorchServe sets a header for it."""
    headers, parameters = request
    return {**headers, "explain": "True"}, parameters


def b64(image: bytes) -> str:
    return base64.b64encode(image).decode()


def seal(folder: Path, **changes: Any) -> None:
    """Replace entries of the manifest by the keyword arguments, then write the folder's checksums again."""
    if changes:
        path = folder / MANIFEST
        manifest = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**manifest, **changes}))
    files = {path for path in folder.rglob("*") if path.is_file() and path.name != SUMS}
    sums = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / SUMS).write_text(format_sums(sums))
