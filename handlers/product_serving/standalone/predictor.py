"""Answer products in this process with the code that answers in TorchServe.

    predictor = Predictor(folder)
    [answer] = predictor.predict([{"text": "Red Canvas Shoe"}])

The folder is an unpacked archive. Files and golden products are checked when it is loaded, as in TorchServe.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..archive import ArchiveError
from ..errors import ProductError
from ..request import ProductFields, read_instance
from ..service import ProductService
from .context import BatchContext, load_context

# Pictures of so many products are decoded at once: a list of thousands must not fill the memory.
AT_ONCE = 64
Answer = dict[str, Any] | ProductError


class Request(NamedTuple):
    """A request as it came over HTTP.

    Args:
        body: bytes, or the object that a framework has parsed from JSON.
        content_type: value of the Content-Type header; None without the header.
        explain: answer with explanations.
    """

    body: bytes | Mapping[str, Any]
    content_type: str | None = "application/json"
    explain: bool = False


class Reply(NamedTuple):
    """A reply over HTTP.

    Args:
        status: HTTP status.
        body: JSON, in ASCII.
    """

    status: int
    body: str


class Predictor:
    """The model of an unpacked archive. Threads may share it: they take turns.

    Args:
        folder: the unpacked archive.
        workers: processes that share the cores with this one, itself included.
        gpu: number of the GPU to use; None uses none.

    Attributes:
        model: name, version, engine (``backend``) and the reason for the engine (``backend_reason``).
        settings: of the model.

    Raises:
        ArchiveError: a file has changed since the archive was built.
        EngineError: no engine gives the expected answers to the golden products.
    """

    def __init__(self, folder: Path, *, workers: int = 1, gpu: int | None = None) -> None:
        entry = _identity(folder)
        self._service = ProductService()
        self._service.initialize(load_context(folder, **entry, workers=workers, gpu=gpu))
        self._lock = threading.Lock()
        self.model, self.settings = self._service.model, self._service.settings

    def predict(self, products: Sequence[Mapping[str, Any]], *, explain: bool = False) -> list[Answer]:
        """Answer products.

        Args:
            products: each has ``image`` (encoded bytes, or base64), ``text`` or both; ``top_k`` and ``effort`` as over
                HTTP.
            explain: also tell which words and which parts of the picture decided; costs up to ten times as much.

        Returns:
            For each product the answer as over HTTP, or its error; errors are returned, not raised.
        """
        return self.answer([read_instance(product, self.settings) for product in products], explain=explain)

    def answer(self, items: Sequence[ProductFields | ProductError], *, explain: bool = False) -> list[Answer]:
        """Answer products that have been read; an error stays in its place.

        Raises:
            SystemExit: the engine no longer works, for example after the GPU was lost; start the process again.
        """
        answers: list[Answer] = []
        with self._lock:
            for start in range(0, len(items), AT_ONCE):
                some = items[start : start + AT_ONCE]
                answers += self._service.answer(some, [explain] * len(some))
        return answers

    def respond(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests in one batch, each in any form that the HTTP API takes, except forms (multipart).

        Raises:
            SystemExit: as :meth:`answer`.
        """
        context = BatchContext([_headers(request) for request in requests])
        with self._lock:
            bodies = self._service.handle([{"body": request.body} for request in requests], context)
        return [Reply(status, body) for status, body in zip(context.statuses, bodies, strict=True)]


def _headers(request: Request) -> dict[str, str]:
    """The headers that TorchServe would pass on; the length marks a request that came over HTTP."""
    named = {} if request.content_type is None else {"Content-Type": request.content_type}
    return {**named, "Content-Length": "", "explain": str(request.explain)}


def _identity(folder: Path) -> dict[str, str]:
    """Name and version of the model.

    Raises:
        ArchiveError: the archiver's own manifest cannot be read.
    """
    try:
        entry = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text(encoding="utf-8"))["model"]
        return {"model": str(entry["modelName"]), "version": str(entry["modelVersion"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"MAR-INF/MANIFEST.json cannot be read ({type(error).__name__}) in {folder}") from error
