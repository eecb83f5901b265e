"""The local engine: the archive's model in this process, run by the same handler as in a TorchServe worker.

Threads read and decode the pictures of the next batches while the model computes and earlier answers are written.
"""

import errno
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from client.api.errors import ClientError, ServerError
from client.api.inference import Product
from client.api.predictions import Prediction
from client.archives.model_store import identify_archive
from client.scoring.answers import ReadBatch, RowAnswer, RowBatch, read_products
from client.scoring.engines import ordered_map, write_parts
from client.scoring.several_pictures import FIRST, PictureRows, Scores, mean_scores, one_row_a_picture
from client.scoring.workspace import Workspace
from handlers.product_handler import ProductHandler
from handlers.product_serving import preprocessing
from handlers.product_serving.archive import ArchiveError
from handlers.product_serving.cascade import Opened
from handlers.product_serving.engines.engine import EngineError
from handlers.product_serving.errors import ProductError, run_step
from handlers.product_serving.request import ProductFields, read_product
from handlers.product_serving.resources import usable_cores
from handlers.product_serving.scores import Scored
from handlers.product_serving.standalone.context import load_context
from training.catalog import CatalogFiles, RowError

READERS = 4


class LocalEngine:
    """The model of an archive in this process.

    Args:
        archive: path of the ``.mar`` file.
        top_k: number of classes to list; None takes the model's default.
        threads: threads of the model; None takes all cores available to the process.
        pictures: ``first`` or ``mean``, what a product with several pictures is answered by.

    Attributes:
        handler: the archive's handler.

    Raises:
        ClientError: the archive is damaged, changed, or gives wrong answers to its golden products.
    """

    def __init__(
        self, archive: Path, *, top_k: int | None = None, threads: int | None = None, pictures: str = FIRST
    ) -> None:
        self.identity = archive_identity(archive)
        self._top_k = top_k
        self._pictures = pictures
        with tempfile.TemporaryDirectory(prefix="archive-") as folder:
            self.handler = load_handler(archive, Path(folder), threads=threads)
        self.description = (
            f"{self.identity['model']} {self.identity['version']} ({self.handler.model['backend']} in this process)"
        )

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.ScoringEngine`."""

        def prepare(batch: RowBatch) -> _Prepared:
            rows = one_row_a_picture(batch.rows, pictures=self._pictures)
            request = read_products(rows.rows, files)
            items = [run_step(self._fields, product) for product in request.products]
            return _Prepared(rows, request, items, self.handler.preprocess(items))

        def infer(ready: tuple[RowBatch, _Prepared]) -> list[Scores]:
            return self.handler.inference(ready[1].products)

        with (
            ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers,
            ThreadPoolExecutor(1, thread_name_prefix="infer") as model,
        ):
            batches = workspace.batches(chunks, size=self.handler.settings.max_batch)
            ready = ordered_map(readers, prepare, batches, ahead=READERS + 1)
            answered = (
                (batch, self._answers(prepared, scores))
                for (batch, prepared), scores in ordered_map(model, infer, ready, ahead=2)
            )
            yield from write_parts(workspace, answered)

    def _fields(self, product: Product) -> ProductFields:
        fields = {"image": product.image, "text": product.text, "top_k": self._top_k}
        return read_product({name: value for name, value in fields.items() if value is not None}, self.handler.settings)

    def _answers(self, prepared: "_Prepared", scores: Sequence[Scores]) -> list[RowAnswer]:
        """One answer for each row of the batch, over all its pictures that were read."""
        places = prepared.request.merged(range(len(scores)))
        return [self._answer(prepared, scores, group) for group in prepared.rows.grouped(places)]

    def _answer(self, prepared: "_Prepared", scores: Sequence[Scores], places: Sequence[int | RowError]) -> RowAnswer:
        read = [place for place in places if isinstance(place, int)]
        if not read:
            return next(place for place in places if isinstance(place, RowError))
        first = next((place for place in read if isinstance(scores[place], Scored)), read[0])
        mean = mean_scores([scores[place] for place in read])
        [answer] = self.handler.explain([prepared.items[first]], [prepared.products[first]], [mean], [False])
        if isinstance(answer, ProductError):
            return ServerError(answer.code, answer.type, answer.message)
        return Prediction.from_json(answer)


class _Prepared(NamedTuple):
    """A batch with its preprocessed products, one for each picture that was read."""

    rows: PictureRows
    request: ReadBatch
    items: list[ProductFields | ProductError]
    products: list[preprocessing.Product | Opened | ProductError]


def archive_identity(archive: Path) -> dict[str, str]:
    """Name, version and checksum of an archive.

    Raises:
        ClientError: the archive does not exist or is damaged.
    """
    entry = identify_archive(archive)
    return {
        "model": entry.model,
        "version": entry.version,
        "archive": entry.checksum(),
        "answered_by": "the archive itself",
    }


def load_handler(archive: Path, folder: Path, *, threads: int | None = None) -> ProductHandler:
    """Load the archive's handler as a TorchServe worker on a CPU does.

    Args:
        archive: path of the ``.mar`` file.
        folder: empty folder to unpack the archive in. Explanations read it later, predictions do not.
        threads: threads of the model; None takes one for each core.

    Raises:
        ClientError: the archive is damaged, or gives wrong answers to its golden products.
    """
    entry = identify_archive(archive)
    cores = usable_cores()
    workers = cores // min(threads or cores, cores)
    context = load_context(folder, model=entry.model, version=entry.version, workers=workers)
    handler = ProductHandler()
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        handler.initialize(context)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ClientError(
                f"{archive} cannot be unpacked into {folder}, whose disk is full; make room there, or set TMPDIR to a "
                "folder on another disk"
            ) from error
        raise ClientError(f"{archive} cannot be unpacked ({error}); build it again with `make archive`") from error
    except (ArchiveError, EngineError) as error:
        raise ClientError(f"{archive.name}: {error}") from error
    return handler
