"""Answer batches of requests in a TorchServe worker; one product's error does not affect the others.

The worker calls ``initialize`` once and ``handle`` for every batch.
"""

import functools
import itertools
import logging
import timeit
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from .answer import product_answer, serialise
from .archive import (
    check_labels,
    in_turn,
    read_golden_products,
    read_manifest,
    read_settings,
    require_golden_answers,
    verified_engines,
)
from .cascade import EarlyExits, Opened
from .engines.cached import CachedEngine
from .engines.choice import EngineChoice
from .engines.engine import Engine
from .engines.table import LoadOptions
from .errors import ProductError, is_out_of_memory, run_step
from .explanation import ProductExplainer
from .metrics import ProductMetrics
from .picture import check_header
from .preprocessing import Product, ProductPreprocessor, collate
from .request import (
    ProductFields,
    ProductRequest,
    asks_explanation,
    content_type,
    end_calls,
    limit_explained,
    limit_pixels,
    read_request,
)
from .resources import usable_cores
from .scores import Scored, score_batches, score_products

logger = logging.getLogger(__name__)
TIMED_BATCH, TIMED_TRIES = 4, 2
# Bytes. Larger pictures are decoded in several threads. Small ones gain little: they spend most of their time in Python
# code, which threads run one at a time. Two threads decode 224-pixel JPEGs (8 KB) in 0.96 of the time of one, and
# 1080x1440 photos (85 KB) in 0.67, both with 1.3 times the CPU time (2 cores of an AMD EPYC, November 2026).
LARGE_PICTURE = 16_384


class ProductService:
    """Classify products by picture and title, in batches."""

    def initialize(self, context: Any) -> None:
        """Load the archive and check its files and the answers to its golden products.

        Raises:
            ArchiveError: a file has changed since the archive was built.
            EngineError: no engine gives the expected answers to the golden products.
        """
        folder = Path(context.system_properties["model_dir"])
        with in_turn(folder):
            self._load(folder, context)
        logger.info("%s %s answers with %s (%s)", *self.model.values())

    def _load(self, folder: Path, context: Any) -> None:
        threads = _threads(context.model_yaml_config or {})
        manifest = read_manifest(folder)
        self.settings = read_settings(folder)
        self.preprocessor = ProductPreprocessor(self.settings, folder / "tokenizer.json")
        self._golden = read_golden_products(manifest)
        check_labels(manifest, self.settings)
        options = LoadOptions(folder, self.settings, threads, _gpu(context.system_properties))
        name, self.engine, reason = EngineChoice(options, check=self._check, measure=self._measure).choose(
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
        self.cascade = (
            None
            if self.settings.cascade is None
            else EarlyExits(folder, self.settings, self.engine, self.metrics.count_checks)
        )
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode")

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        """Answer a batch: return one JSON text for each request and set its HTTP status in the context."""
        with self.metrics.timed("read"):
            headers = [context.get_all_request_header(number) for number in range(len(data))]
            requests = [self._read(row, header) for row, header in zip(data, headers, strict=True)]
            items = [item for request in requests for item in request.items]
        explained = [
            asks_explanation(header) for header, request in zip(headers, requests, strict=True) for _ in request.items
        ]
        answers = self.answer(items, explained)
        with self.metrics.timed("respond"):
            bodies = self.postprocess(requests, answers, context)
            end_calls(headers, context)
        self.metrics.record(answers, explained)
        return bodies

    def answer(
        self, items: Sequence[ProductFields | ProductError], explained: Sequence[bool]
    ) -> list[dict[str, Any] | ProductError]:
        """Answer products as read from requests; an error, of the reading or of a later step, stays in its place.

        Args:
            items: the products.
            explained: for each product, whether an explanation is asked for.
        """
        products = self.preprocess(items, explained)
        return self.explain(items, products, self.inference(products), explained)

    def preprocess(
        self, items: Sequence[ProductFields | ProductError], full: Sequence[bool] | None = None
    ) -> list[Product | Opened | ProductError]:
        """Decode pictures (large ones in parallel) and tokenise titles; a product that fails becomes an error.

        With a cascade, the letters of a title come first: see :class:`product_serving.cascade.Opened`.

        Args:
            items: as read from requests.
            full: for each product, whether all towers are to be computed; None takes the requests' word for it.
        """
        wanted = full or [False] * len(items)
        early: Sequence[Opened | ProductError | None] = [None] * len(items)
        if self.cascade is not None:
            asked = [
                None if isinstance(item, ProductError) or item.full or every else item
                for item, every in zip(items, wanted, strict=True)
            ]
            early = self._opened(asked)
        rest = [number for number, product in enumerate(early) if product is None]
        decoded = dict(zip(rest, self._decoded([items[number] for number in rest]), strict=True))
        return [decoded[number] if product is None else product for number, product in enumerate(early)]

    def inference(self, products: Sequence[Product | Opened | ProductError]) -> list[Scored | ProductError]:
        """Compute calibrated scores for each product; errors stay in their places.

        Raises:
            SystemExit: the engine no longer works, for example after the GPU was lost; TorchServe starts a new worker.
        """
        opened = {number: product for number, product in enumerate(products) if isinstance(product, Opened)}
        early = dict(zip(opened, self._early(list(opened.values())), strict=True))
        waiting = [number for number, product in opened.items() if product.sampled or early[number] is None]
        decoded = dict(zip(waiting, self._decoded([opened[number].fields for number in waiting]), strict=True))
        left = {number: product for number, product in enumerate(products) if not isinstance(product, Opened)} | decoded
        full = dict(zip(left, self._scored(list(left.values())), strict=True))
        if self.cascade is not None:
            self.cascade.compare([(early[number], full[number]) for number in waiting if opened[number].sampled])
        # A sampled product whose picture is damaged keeps its early answer: another one would not have been decoded.
        stand = {
            number: answer
            for number, answer in early.items()
            if answer is not None and not isinstance(full.get(number), Scored)
        }
        return [stand[number] if number in stand else full[number] for number in range(len(products))]

    def explain(
        self,
        items: Sequence[ProductFields | ProductError],
        products: Sequence[Product | Opened | ProductError],
        scores: Sequence[Scored | ProductError],
        explained: Sequence[bool],
    ) -> list[dict[str, Any] | ProductError]:
        """Build the answer to each product, with an explanation if the request asked for one."""
        return [
            run_step(self._answer, item, product, row, explain=asked) if isinstance(item, ProductFields) else item
            for item, product, row, asked in zip(items, products, scores, explained, strict=True)
        ]

    def postprocess(
        self, requests: Sequence[ProductRequest], answers: Sequence[dict[str, Any] | ProductError], context: Any
    ) -> list[str]:
        """Serialise the answers of each request and set its HTTP status."""
        remaining = iter(answers)
        bodies = []
        for number, request in enumerate(requests):
            status, body = serialise([next(remaining) for _ in request.items], many=request.many)
            context.set_response_status(code=status, phrase=HTTPStatus(status).phrase, idx=number)
            context.set_response_content_type(number, "application/json")
            bodies.append(body)
        return bodies

    def _early(self, opened: Sequence[Opened]) -> list[Scored | None]:
        if self.cascade is None or not opened:
            return []
        with self.metrics.timed("infer"):
            return self.cascade.answered(opened, self._title_only)

    def _opened(self, items: Sequence[ProductFields | None]) -> list[Opened | ProductError | None]:
        """Read the letters of titles and the headers of pictures; None where there is nothing to open."""
        assert self.cascade is not None
        with self.metrics.timed("tokenise"):
            opened = [None if item is None else run_step(self._open, item) for item in items]
        with self.metrics.timed("infer"):
            return self.cascade.by_letters(opened)

    def _open(self, fields: ProductFields) -> Opened | None:
        """A product with a title whose picture, if any, has a valid header; None without a title."""
        ngrams = self.preprocessor.ngrams(fields.text or "")
        if fields.image is not None:
            check_header(fields.image, self.settings)
        return Opened(fields, ngrams) if len(ngrams) else None

    def _title_only(self, fields: ProductFields) -> Product:
        return self.preprocessor(None, fields.text)

    def _decoded(self, items: Sequence[ProductFields | ProductError]) -> list[Product | ProductError]:
        large = {number: self._pool.submit(self._prepare, item) for number, item in enumerate(items) if _is_large(item)}
        small = {number: self._prepare(item) for number, item in enumerate(items) if number not in large}
        return [small[number] if number in small else large[number].result() for number in range(len(items))]

    def _scored(self, products: Sequence[Product | ProductError]) -> list[Scored | ProductError]:
        valid = [product for product in products if isinstance(product, Product)]
        with self.metrics.timed("infer"):
            answers = score_products(self.engine, valid, settings=self.settings)
        if answers and all(isinstance(answer, ProductError) for answer in answers):
            self._exit_if_engine_fails()
        remaining = iter(answers)
        return [next(remaining) if isinstance(product, Product) else product for product in products]

    @functools.cached_property
    def _explainer(self) -> ProductExplainer:
        """Created for the first explanation: on ONNX Runtime it takes a second and holds the weights again."""
        return ProductExplainer(self.engine.parts(), self.preprocessor, self.settings)

    def _exit_if_engine_fails(self) -> None:
        """End the process if the engine fails on the golden products too: it would fail on all later products."""
        try:
            score_batches(self.engine, self._golden_inputs(), settings=self.settings)
        except Exception as error:  # engines' errors share no base class
            if is_out_of_memory(error):
                return
            logger.critical("%s no longer answers (%s): the worker exits", self.model["backend"], type(error).__name__)
            raise SystemExit(1) from error

    def _check(self, engine: Engine) -> None:
        """Compare an engine's answers to the golden products with the expected ones."""
        scores = score_batches(engine, self._golden_inputs(), settings=self.settings)
        require_golden_answers(self._golden, scores, settings=self.settings, tolerance=engine.tolerance)

    def _golden_inputs(self) -> list[Product]:
        return [self.preprocessor(product.image, product.text) for product in self._golden]

    def _measure(self, engine: Engine) -> float:
        """Time an engine on a batch of golden products: the shortest of several runs, in seconds."""
        size = min(TIMED_BATCH, self.settings.max_batch)
        batch = collate(list(itertools.islice(itertools.cycle(self._golden_inputs()), size)))
        engine(batch)
        return min(timeit.repeat(lambda: engine(batch), number=1, repeat=TIMED_TRIES))

    def _read(self, row: Mapping[str, Any], headers: Mapping[str, Any]) -> ProductRequest:
        """Read one request's products; a request that cannot be read becomes a single error."""
        request = run_step(self._parse, row, headers)
        return ProductRequest([request], many=False) if isinstance(request, ProductError) else request

    def _parse(self, row: Mapping[str, Any], headers: Mapping[str, Any]) -> ProductRequest:
        request = read_request(row, content_type(headers), self.settings)
        if asks_explanation(headers):
            limit_explained(request, self.settings)
        if request.many and "image" in self.settings.modalities:
            limit_pixels(request, self.settings)
        return request

    def _prepare(self, item: ProductFields | ProductError) -> Product | ProductError:
        return item if isinstance(item, ProductError) else run_step(self._product, item)

    def _product(self, fields: ProductFields) -> Product:
        reads = self.settings.modalities
        image = fields.image if "image" in reads else None
        text = fields.text if "text" in reads else None
        with self.metrics.timed("tokenise"):
            title = self.preprocessor.title_ids(text or "")
        with self.metrics.timed("decode"):
            pixels = None if image is None else self.preprocessor.pixels(image)
        product = self.preprocessor.product(pixels, title)
        if not product.present.any():
            raise ProductError(
                "missing_field", f"{' or '.join(reads)}: this model needs it; the request has none that it can read"
            )
        return product

    def _answer(
        self,
        item: ProductFields,
        product: Product | Opened | ProductError,
        scored: Scored | ProductError,
        *,
        explain: bool,
    ) -> dict[str, Any] | ProductError:
        if isinstance(product, ProductError):
            return product
        if isinstance(scored, ProductError):
            return scored
        answer = product_answer(scored, top_k=item.top_k, model=self.model, settings=self.settings)
        if not explain or isinstance(product, Opened):
            return answer
        with self.metrics.timed("explain"):
            label = self.settings.labels.index(answer["label"])
            return {**answer, **self._explainer(product, item.text, label)}


def _is_large(item: ProductFields | ProductError) -> bool:
    return isinstance(item, ProductFields) and item.image is not None and len(item.image) > LARGE_PICTURE


def _gpu(properties: Mapping[str, Any]) -> int | None:
    """Number of the GPU that TorchServe assigned to this worker; None without a GPU."""
    gpu = properties.get("gpu_id")
    return None if gpu is None or int(gpu) < 0 else int(gpu)


def _threads(worker_config: Mapping[str, Any]) -> int:
    """Threads for this worker: the cores that the process may use, divided by the number of the model's workers."""
    return max(1, usable_cores() // max(1, int(worker_config.get("maxWorkers", 1))))
