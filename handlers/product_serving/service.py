"""What a worker does: requests in, one answer each out, and no product fails its neighbours.

A worker calls ``initialize`` once and ``handle`` for every batch.
"""

import functools
import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import product_answer, serialise
from .archive import (
    check_golden,
    check_labels,
    golden_products,
    read_archive,
    read_settings,
    verified_engines,
)
from .engines.cached import CachedEngine
from .engines.choice import Choice
from .engines.engine import Engine
from .engines.table import Site
from .errors import ProductError, guarded, is_out_of_memory
from .explanation import ProductExplainer
from .metrics import ProductMetrics
from .picture import header_pixels
from .preprocessing import Product, ProductPreprocessor, collate
from .request import ProductFields, ProductRequest, limit_explained, read_request
from .scores import score_batches, score_products
from .settings import modalities_read

logger = logging.getLogger(__name__)
TIMED_BATCH, TIMED_TRIES = 4, 2
# Bytes of a picture whose decoding is worth another thread. Most of a small one's time is Python's, in which threads
# only wait for each other: two threads decode 224-pixel JPEGs (8 KB) in 0.96 of the time of one, and 1080x1440 photos
# (85 KB) in 0.67, both for 1.3 times the processor time (2 cores of an AMD EPYC, November 2026).
LARGE_PICTURE = 16_384


class ProductService:
    """Classify products by picture and title, in batches."""

    def initialize(self, context: Any) -> None:
        """Load what the archive holds and prove that it answers as it was verified.

        Raises:
            ArchiveError: a file was changed since the archive was built.
            EngineError: no engine gives the expected answers to the golden products.
        """
        folder = Path(context.system_properties["model_dir"])
        threads = _threads(context.model_yaml_config or {})
        manifest = read_archive(folder)
        self.settings = read_settings(folder)
        self.preprocessor = ProductPreprocessor(self.settings, folder / "tokenizer.json")
        self._golden = golden_products(manifest)
        check_labels(manifest, self.settings)
        site = Site(folder, self.settings, threads, _gpu(context.system_properties))
        name, self.engine, reason = Choice(site, accept=self._check, seconds=self._seconds).choose(
            self.settings.engine, verified=verified_engines(manifest)
        )
        self.model = {
            "name": str(context.model_name),
            "version": str(context.manifest["model"]["modelVersion"]),
            "backend": name,
            "backend_reason": reason,
        }
        self.metrics = ProductMetrics(context.metrics, model=self.model, labels=self.settings.labels)
        self.metrics.announce()
        if self.settings.cache_mib:
            self.engine = CachedEngine(self.engine, mib=self.settings.cache_mib, count=self.metrics.count_cached)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode")
        logger.info("%s %s answers with %s (%s)", *self.model.values())

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        """Answer a batch: one JSON text a request, its status set in the context."""
        with self.metrics.timed("read"):
            headers = [context.get_all_request_header(number) for number in range(len(data))]
            requests = [self._read(row, header) for row, header in zip(data, headers, strict=True)]
            items = [item for request in requests for item in request.items]
        why = [_asks_why(header) for header, request in zip(headers, requests, strict=True) for _ in request.items]
        products = self.preprocess(items)
        with self.metrics.timed("infer"):
            scores = self.inference(products)
        answers = self.explain(items, products, scores, why)
        with self.metrics.timed("respond"):
            bodies = self.postprocess(requests, answers, context)
        self.metrics.record(answers, why)
        return bodies

    def preprocess(self, items: Sequence[ProductFields | ProductError]) -> list[Product | ProductError]:
        """Decode pictures, large ones several at a time, and tokenise titles; what fails is an error in its place."""
        large = {number: self._pool.submit(self._prepare, item) for number, item in enumerate(items) if _is_large(item)}
        small = {number: self._prepare(item) for number, item in enumerate(items) if number not in large}
        return [small[number] if number in small else large[number].result() for number in range(len(items))]

    def inference(self, products: Sequence[Product | ProductError]) -> list[NDArray[np.float64] | ProductError]:
        """Calibrated scores (C,) of each product, or the error that stands in its place.

        Raises:
            SystemExit: the engine answers nothing any more, as after a lost GPU; TorchServe starts a new worker.
        """
        valid = [product for product in products if isinstance(product, Product)]
        answers = score_products(self.engine, valid, settings=self.settings)
        if answers and all(isinstance(answer, ProductError) for answer in answers):
            self._require_life()
        remaining = iter(answers)
        return [next(remaining) if isinstance(product, Product) else product for product in products]

    def explain(
        self,
        items: Sequence[ProductFields | ProductError],
        products: Sequence[Product | ProductError],
        scores: Sequence[NDArray[np.float64] | ProductError],
        why: Sequence[bool],
    ) -> list[dict[str, Any] | ProductError]:
        """The answer to each product, with what decided it where that was asked for."""
        return [
            guarded(self._answer, item, product, row, explain=asked) if isinstance(item, ProductFields) else item
            for item, product, row, asked in zip(items, products, scores, why, strict=True)
        ]

    def postprocess(
        self, requests: Sequence[ProductRequest], answers: Sequence[dict[str, Any] | ProductError], context: Any
    ) -> list[str]:
        """Serialise the answers request by request and set the HTTP statuses."""
        remaining = iter(answers)
        bodies = []
        for number, request in enumerate(requests):
            status, body = serialise([next(remaining) for _ in request.items], many=request.many)
            context.set_response_status(code=status, phrase=HTTPStatus(status).phrase, idx=number)
            context.set_response_content_type(number, "application/json")
            bodies.append(body)
        return bodies

    @functools.cached_property
    def _explainer(self) -> ProductExplainer:
        """Made when the first explanation is asked for: on ONNX Runtime it takes a second, and the weights' memory."""
        return ProductExplainer(self.engine.parts(), self.preprocessor, self.settings)

    def _require_life(self) -> None:
        """End the process if its engine fails on the golden products too: as it is, it would fail on all to come."""
        try:
            score_batches(self.engine, self._golden_inputs(), settings=self.settings)
        except Exception as error:  # engines' errors share no base class
            if is_out_of_memory(error):
                return
            logger.critical(
                "%s answers nothing any more (%s): the worker ends", self.model["backend"], type(error).__name__
            )
            raise SystemExit(1) from error

    def _check(self, engine: Engine) -> None:
        """Let an engine answer the golden products."""
        scores = score_batches(engine, self._golden_inputs(), settings=self.settings)
        check_golden(self._golden, scores, settings=self.settings, tolerance=engine.tolerance)

    def _golden_inputs(self) -> list[Product]:
        return [self.preprocessor(product.image, product.text) for product in self._golden]

    def _seconds(self, engine: Engine) -> float:
        """The best of some tries at a batch of golden products."""
        size = min(TIMED_BATCH, self.settings.max_batch)
        batch = collate(list(itertools.islice(itertools.cycle(self._golden_inputs()), size)))
        engine(batch)
        return min(_elapsed(lambda: engine(batch)) for _ in range(TIMED_TRIES))

    def _read(self, row: Mapping[str, Any], headers: Mapping[str, Any]) -> ProductRequest:
        """One request's products; one that cannot be read at all is a single error."""
        request = guarded(self._parse, row, headers)
        return ProductRequest([request], many=False) if isinstance(request, ProductError) else request

    def _parse(self, row: Mapping[str, Any], headers: Mapping[str, Any]) -> ProductRequest:
        request = read_request(row, _content_type(headers), self.settings)
        if _asks_why(headers):
            limit_explained(request, self.settings)
        if request.many and "image" in self.settings.modalities:
            self._limit_pixels(request)
        return request

    def _limit_pixels(self, request: ProductRequest) -> None:
        """Put an error in place of each picture that goes beyond what one request may make us decode.

        A picture that is refused anyway is not decoded, so it takes nothing from its neighbours.
        """
        limit, decoded = self.settings.max_request_pixels, 0
        for number, item in enumerate(request.items):
            if isinstance(item, ProductFields) and item.image is not None:
                pixels = header_pixels(item.image)
                if pixels > self.settings.max_image_pixels:
                    continue
                if decoded + pixels <= limit:
                    decoded += pixels
                else:
                    message = f"image: the pictures of this request have more than {limit} pixels; send fewer at once"
                    request.items[number] = ProductError("image_too_large", message)

    def _prepare(self, item: ProductFields | ProductError) -> Product | ProductError:
        return item if isinstance(item, ProductError) else guarded(self._product, item)

    def _product(self, fields: ProductFields) -> Product:
        reads = self.settings.modalities
        image = fields.image if "image" in reads else None
        text = fields.text if "text" in reads else None
        with self.metrics.timed("tokenise"):
            input_ids = self.preprocessor.tokens(text or "")
        with self.metrics.timed("decode"):
            pixels = None if image is None else self.preprocessor.pixels(image)
        product = self.preprocessor.product(pixels, input_ids)
        if not product.present.any():
            raise ProductError("missing_field", f"{' or '.join(reads)}: this model needs it, and nothing readable came")
        return product

    def _answer(
        self,
        item: ProductFields,
        product: Product | ProductError,
        scores: NDArray[np.float64] | ProductError,
        *,
        explain: bool,
    ) -> dict[str, Any] | ProductError:
        if isinstance(product, ProductError):
            return product
        if isinstance(scores, ProductError):
            return scores
        read = modalities_read(product.present)
        answer = product_answer(scores, top_k=item.top_k, modalities=read, model=self.model, settings=self.settings)
        if not explain:
            return answer
        with self.metrics.timed("explain"):
            label = self.settings.labels.index(answer["label"])
            return {**answer, **self._explainer(product, item.text, label)}


def _is_large(item: ProductFields | ProductError) -> bool:
    return isinstance(item, ProductFields) and item.image is not None and len(item.image) > LARGE_PICTURE


def _elapsed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _content_type(headers: Mapping[str, Any]) -> str | None:
    """The request's type; TorchServe puts the form's fields among the headers, so a field can look like one."""
    found = (value for name, value in headers.items() if name.lower() == "content-type" and isinstance(value, str))
    return next(found, None)


def _asks_why(headers: Mapping[str, Any]) -> bool:
    """Whether TorchServe got the request at /explanations; its own header is the one in small letters."""
    return headers.get("explain") == "True"


def _gpu(properties: Mapping[str, Any]) -> int | None:
    """The GPU that TorchServe gave this worker."""
    gpu = properties.get("gpu_id")
    return None if gpu is None or int(gpu) < 0 else int(gpu)


def _threads(worker_config: Mapping[str, Any]) -> int:
    """The cores of this worker: all that the process may use, shared among the workers of the model."""
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // max(1, int(worker_config.get("maxWorkers", 1))))
