"""The engine without a server: an archive's own handler in this process, checked as a worker of TorchServe checks it.

While the model computes, pictures of the next batches are read and decoded in threads, and the answers to the last
batch are written.
"""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.api.errors import ClientError, ServerError
from client.api.inference import Product
from client.api.predictions import Prediction
from client.archives.model_store import read_archive
from client.scoring.answers import Answer, Batch, Request, read_request
from client.scoring.engines import ordered_map, score_batches
from client.scoring.workspace import Workspace
from handlers.product_handler import ProductHandler
from handlers.product_serving import preprocessing
from handlers.product_serving.archive import ArchiveError
from handlers.product_serving.engines.engine import EngineError
from handlers.product_serving.errors import ProductError, guarded
from handlers.product_serving.request import ProductFields, read_product
from training.catalog import CatalogFiles

READERS = 4


class LocalEngine:
    """The model of an archive in this process.

    Args:
        archive: the ``.mar``.
        top_k: classes listed in an answer; None takes the model's default.
        threads: for the model and for decoding; None takes every core that the process may use.

    Attributes:
        handler: the archive's.

    Raises:
        ClientError: the archive is broken, was changed since it was verified, or does not answer its golden products.
    """

    def __init__(self, archive: Path, *, top_k: int | None = None, threads: int | None = None) -> None:
        self.identity = archive_identity(archive)
        self._top_k = top_k
        with tempfile.TemporaryDirectory(prefix="archive-") as folder:
            self.handler = load_handler(archive, Path(folder), threads=threads)
        self.description = (
            f"{self.identity['model']} {self.identity['version']} ({self.handler.model['backend']} in this process)"
        )

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.Engine`."""
        batches = workspace.batches(chunks, size=self.handler.settings.max_batch)
        return score_batches(workspace, self.answered(batches, files))

    def answered(self, batches: Iterator[Batch], files: CatalogFiles) -> Iterator[tuple[Batch, list[Answer]]]:
        """Batches with their answers, in order."""

        def prepare(batch: Batch) -> _Prepared:
            request = read_request(batch.rows, files)
            items = [guarded(self._fields, product) for product in request.products]
            return _Prepared(request, items, self.handler.preprocess(items))

        def infer(ready: tuple[Batch, _Prepared]) -> list[NDArray[np.float64] | ProductError]:
            return self.handler.inference(ready[1].products)

        with (
            ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers,
            ThreadPoolExecutor(1, thread_name_prefix="infer") as model,
        ):
            ready = ordered_map(readers, prepare, batches, ahead=READERS + 1)
            for (batch, prepared), scores in ordered_map(model, infer, ready, ahead=2):
                yield batch, prepared.request.merged(self._answers(prepared, scores))

    def _fields(self, product: Product) -> ProductFields:
        fields = {"image": product.image, "text": product.text, "top_k": self._top_k}
        return read_product({name: value for name, value in fields.items() if value is not None}, self.handler.settings)

    def _answers(
        self, prepared: "_Prepared", scores: Sequence[NDArray[np.float64] | ProductError]
    ) -> list[Prediction | ServerError]:
        items = prepared.items
        answers = self.handler.explain(items, prepared.products, scores, [False] * len(items))
        return [
            ServerError(answer.code, answer.type, answer.message)
            if isinstance(answer, ProductError)
            else Prediction.from_json(answer)
            for answer in answers
        ]


class _Prepared(NamedTuple):
    """A batch that the model can read."""

    request: Request
    items: list[ProductFields | ProductError]
    products: list[preprocessing.Product | ProductError]


def archive_identity(archive: Path) -> dict[str, str]:
    """Name, version and checksum of an archive.

    Raises:
        ClientError: there is none, or it is broken.
    """
    entry = read_archive(archive)
    return {
        "model": entry.model,
        "version": entry.version,
        "archive": entry.checksum(),
        "answered_by": "the archive itself",
    }


def load_handler(archive: Path, folder: Path, *, threads: int | None = None) -> ProductHandler:
    """The archive's handler, as a worker on a CPU initialises it.

    Args:
        archive: a ``.mar``.
        folder: empty; the archive is unpacked there. An explanation reads it again, answers do not.
        threads: of the model; None is one a core.

    Raises:
        ClientError: the archive is broken, or does not answer as it was verified.
    """
    entry = read_archive(archive)
    cores = len(os.sched_getaffinity(0))
    context: Any = SimpleNamespace(
        system_properties={"model_dir": str(folder), "gpu_id": None},
        model_yaml_config={"maxWorkers": cores // min(threads or cores, cores)},
        manifest={"model": {"modelVersion": entry.version}},
        model_name=entry.model,
        metrics=None,
    )
    handler = ProductHandler()
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        handler.initialize(context)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ClientError(f"{archive} cannot be unpacked ({error}); build it again with `make archive`") from error
    except (ArchiveError, EngineError) as error:
        raise ClientError(f"{archive.name}: {error}") from error
    return handler
