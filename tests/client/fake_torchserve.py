"""A small TorchServe behind ``httpx.MockTransport``: the routes, codes and traps that the client builds on."""

import base64
import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import httpx

from handlers.product_serving.archive import REQUIRED_FILES, SUMS, format_sums

LABELS = ("Shirts", "Shoes", "Bags")
TOKEN_MESSAGE = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"
Answer = dict[str, Any]


def scores_of(text: str | None) -> dict[str, float]:
    """What the fake model says: the class that the title names, else the first one."""
    best = next((label for label in LABELS if label.lower() in (text or "").lower()), LABELS[0])
    return {label: 0.8 if label == best else 0.1 for label in LABELS}


@dataclasses.dataclass
class FakeVersion:
    """A registered version; ``answer`` makes the body of a prediction from a product."""

    archive: str
    workers: list[str]
    answer: Callable[[Answer], Answer] | None = None
    pending: list[int] = dataclasses.field(default_factory=list)
    process: int = 100


class FakeTorchServe:
    """Holds what is registered and answers requests of both APIs.

    Args:
        store: folder of archives that may be registered.
        key_file: where it writes its tokens.
    """

    def __init__(self, store: Path, key_file: Path) -> None:
        self.store = store
        self.key_file = key_file
        self.models: dict[str, dict[str, FakeVersion]] = {}
        self.defaults: dict[str, str] = {}
        self.requests: list[httpx.Request] = []
        self.broken: dict[str, str] = {}  # version -> workers, labels, scores, default or bags
        self.reasons: Answer = {"text": [], "image": None, "modality": {"image": 0.0, "text": 1.0}}
        self.renewals = 0
        self.write_keys("first", expires="2099-01-01T00:00:00.123456789Z")

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def write_keys(self, prefix: str, *, expires: str) -> None:
        """Write new tokens, as a start of the server and a renewal do."""
        self.keys = {role: f"{prefix}-{role}" for role in ("inference", "management", "API")}
        document = {
            role: {"key": key} | ({} if role == "API" else {"expiration time": expires})
            for role, key in self.keys.items()
        }
        self.key_file.write_text(json.dumps(document))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        parts = [unquote(name) for name in request.url.raw_path.decode().partition("?")[0].strip("/").split("/")]
        if parts[0] == "token":
            return self._renew(request)
        role = "inference" if parts[0] in ("predictions", "explanations") else "management"
        if request.headers.get("Authorization") != f"Bearer {self.keys[role]}":
            return error(400, "InvalidKeyException", TOKEN_MESSAGE)
        if role == "management":
            return self._manage(request, parts[1:])
        response = self._predict(request, *parts[1:])
        if parts[0] == "predictions" or response.is_error:
            return response
        return httpx.Response(200, json={**response.json(), **self.reasons})

    def calls(self, method: str) -> list[str]:
        """Paths of the requests with a method, in order."""
        return [request.url.path for request in self.requests if request.method == method]

    def _renew(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == f"Bearer {self.keys['API']}"
        self.renewals += 1
        self.write_keys(f"renewed{self.renewals}", expires="2099-01-01T00:00:00Z")
        return httpx.Response(200)

    def _manage(self, request: httpx.Request, names: list[str]) -> httpx.Response:
        if request.method == "POST":
            return self._register(request)
        if not names:
            listed = [{"modelName": name, "modelUrl": f"{name}.mar"} for name in self.models]
            return httpx.Response(200, json={"models": listed})
        model, version = names[0], names[1] if len(names) > 1 else None
        if model not in self.models:
            return error(404, "ModelNotFoundException", f"Model not found: {model}")
        if version not in (None, "all") and version not in self.models[model]:
            return error(404, "ModelVersionNotFoundException", f"Model version: {version} does not exist")
        return self._act(request, model, version, names)

    def _act(self, request: httpx.Request, model: str, version: str | None, names: list[str]) -> httpx.Response:
        if request.method == "GET":
            shown = list(self.models[model]) if version == "all" else [version or self.defaults[model]]
            return httpx.Response(200, json=[self._describe(model, name) for name in shown])
        assert version is not None
        return self._put(request, model, version, names) if request.method == "PUT" else self._delete(model, version)

    def _delete(self, model: str, version: str) -> httpx.Response:
        if self.defaults[model] == version and len(self.models[model]) > 1:
            return error(403, "InvalidModelVersionException", f"Cannot remove default version for model {model}")
        del self.models[model][version]
        if not self.models[model]:
            del self.models[model], self.defaults[model]
        return httpx.Response(200, json={"status": "unregistered"})

    def _put(self, request: httpx.Request, model: str, version: str, names: list[str]) -> httpx.Response:
        if names[-1] != "set-default":
            self.models[model][version].workers = ["READY"] * int(request.url.params["min_worker"])
        elif self.broken.get(version) != "default":
            self.defaults[model] = version
        return httpx.Response(200, json={"status": "done"})

    def _register(self, request: httpx.Request) -> httpx.Response:
        name = request.url.params["url"]
        if not (self.store / name).exists():
            return error(404, "ModelNotFoundException", f"Model not found at: {name}")
        with zipfile.ZipFile(self.store / name) as content:
            entry = json.loads(content.read("MAR-INF/MANIFEST.json"))["model"]
        model, version = entry["modelName"], entry["modelVersion"]
        if version in self.models.get(model, {}):
            return error(409, "ConflictStatusException", f"Model version {version} is already registered")
        fails = self.broken.get(version) == "workers"
        workers = ["UNLOADING" if fails else "READY"] * int(request.url.params.get("initial_workers", 0))
        self.models.setdefault(model, {})[version] = FakeVersion(name, workers)
        self.defaults.setdefault(model, version)
        assert request.url.params["synchronous"] == "false", "TorchServe would answer nothing else meanwhile"
        return httpx.Response(202, json={"status": "Processing worker updates..."})

    def _describe(self, model: str, version: str) -> Answer:
        entry = self.models[model][version]
        if "UNLOADING" in entry.workers:  # it died, and TorchServe has started another process
            entry.process += 1
        return {
            "modelName": model,
            "modelVersion": version,
            "modelUrl": entry.archive,
            "minWorkers": len(entry.workers),
            "workers": [
                {"id": str(9000 + row), "status": status, "pid": entry.process}
                for row, status in enumerate(entry.workers)
            ],
            "jobQueueStatus": {"pendingRequests": entry.pending.pop(0) if entry.pending else 0},
        }

    def _predict(self, request: httpx.Request, model: str, version: str | None = None) -> httpx.Response:
        if model not in self.models:
            return error(404, "ModelNotFoundException", f"Model not found: {model}")
        version = version or self.defaults[model]
        kind = request.headers["Content-Type"]
        product = json.loads(request.content) if kind == "application/json" else read_form(kind, request.content)
        if "instances" in product:
            answers = [self._answer(entry, model, version) for entry in product["instances"]]
            return httpx.Response(200, json={"predictions": answers})
        answer = self._answer(product, model, version)
        return httpx.Response(answer.get("code", 200), json=answer)

    def _answer(self, product: Answer, model: str, version: str) -> Answer:
        if product.get("image") == base64.b64encode(b"broken").decode():
            return {"code": 422, "type": "image_corrupt", "message": "image: cannot be decoded"}
        if (answer := self.models[model][version].answer) is not None:
            return answer(product)
        scores = scores_of(product.get("text"))
        if self.broken.get(version) == "labels":
            scores = {label: scores[LABELS[row - 1]] for row, label in enumerate(LABELS)}
        if self.broken.get(version) == "bags" and "10" in (product.get("text") or ""):
            scores = scores_of("bags")
        if self.broken.get(version) == "scores":
            scores = {label: score * 0.9 for label, score in scores.items()}
        top = sorted(scores.items(), key=lambda entry: -entry[1])[: int(product.get("top_k") or 5)]
        return {
            "label": top[0][0],
            "score": top[0][1],
            "top": [{"label": label, "score": score} for label, score in top],
            "modalities": [name for name in ("image", "text") if product.get(name)],
            "needs_review": top[0][1] < 0.5,
            "model": {"name": model, "version": version, "backend": "fake"},
        }


def error(code: int, kind: str, message: str) -> httpx.Response:
    """An error as TorchServe writes it."""
    return httpx.Response(code, json={"code": code, "type": kind, "message": message})


def read_form(kind: str, body: bytes) -> Answer:
    """The fields of a multipart form; a picture comes back in base64, as in JSON."""
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    fields: Answer = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str) and isinstance(content, bytes)
        fields[name] = base64.b64encode(content).decode() if name == "image" else content.decode()
    return fields


def write_archive(
    store: Path,
    model: str,
    version: str,
    *,
    default: bool = False,
    workers: int | None = None,
    attributes: Mapping[str, Sequence[str]] = MappingProxyType({"label": LABELS}),
) -> Path:
    """An archive with what the client reads of one: name, version, labels, golden products."""
    titles = ("Red Shirts", "Blue Shoes", None)
    golden = [
        {
            "image": None if title else base64.b64encode(b"picture").decode(),
            "text": title,
            "labels": {"label": max(scores_of(title), key=scores_of(title).__getitem__)},
            "scores": list(scores_of(title).values()),
        }
        for title in titles
    ]
    path = store / (f"{model}.mar" if default else f"{model}-{version}.mar")
    entry = {"model": {"modelName": model, "modelVersion": version}}
    files = {
        "MAR-INF/MANIFEST.json": json.dumps(entry),
        "settings.json": json.dumps(
            {"attributes": [{"name": name, "labels": list(labels)} for name, labels in attributes.items()]}
        ),
        "manifest.json": json.dumps({"golden": golden}),
        **({} if workers is None else {"model-config.yaml": f"minWorkers: {workers}\nmaxWorkers: {workers}\n"}),
        **dict.fromkeys((set(REQUIRED_FILES) - set(("manifest.json", "settings.json"))), ""),
    }
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    with zipfile.ZipFile(path, "w") as content:
        for name, text in {**files, SUMS: format_sums(sums)}.items():
            content.writestr(name, text)
    return path


def damage(archive: Path) -> None:
    """Change the model of an archive behind its checksums' back."""
    with zipfile.ZipFile(archive) as content:
        files = {name: content.read(name) for name in content.namelist()}
    with zipfile.ZipFile(archive, "w") as content:
        for name, data in {**files, "model.onnx": b"another"}.items():
            content.writestr(name, data)
