"""TorchServe's entry point: requests in, one answer each out, and no product fails its neighbours.

A worker calls ``initialize`` once and ``handle`` for every batch.
"""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if __package__:
    from .backends import Backend, choose_backend
    from .preprocessing import Product, ProductPreprocessor, collate
    from .product_answer import product_answer, serialise
    from .product_archive import check_golden, golden_products, read_archive
    from .product_errors import ProductError
    from .product_request import ProductFields, ProductRequest, read_request
    from .settings import ProductSettings
else:
    from backends import Backend, choose_backend
    from preprocessing import Product, ProductPreprocessor, collate
    from product_answer import product_answer, serialise
    from product_archive import check_golden, golden_products, read_archive
    from product_errors import ProductError
    from product_request import ProductFields, ProductRequest, read_request
    from settings import ProductSettings

logger = logging.getLogger(__name__)


class ProductHandler:
    """Classify products by picture and title, in batches."""

    def initialize(self, context: Any) -> None:
        """Load what the archive holds and prove that it answers as it was verified.

        Raises:
            ArchiveError: a file was changed since the archive was built.
            BackendError: no backend gives the expected answers to the golden products.
        """
        folder = Path(context.system_properties["model_dir"])
        gpu = context.system_properties.get("gpu_id")
        manifest = read_archive(folder)
        self.settings = ProductSettings.from_json(folder / "settings.json")
        self.preprocessor = ProductPreprocessor(self.settings, folder / "tokenizer.json")
        golden = golden_products(manifest)
        examples = [self.preprocessor(product.image, product.text) for product in golden]
        threads = _threads(context.model_yaml_config or {})
        self.backend, reason = choose_backend(
            folder,
            forced=self.settings.backend,
            gpu=None if gpu is None or int(gpu) < 0 else int(gpu),
            threads=threads,
            accept=lambda backend: check_golden(golden, self._scores(backend, examples)),
        )
        self.model = {
            "name": str(context.model_name),
            "version": str(context.manifest["model"]["modelVersion"]),
            "backend": self.backend.name,
            "backend_reason": reason,
        }
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode")
        logger.info("%s %s answers with %s (%s)", *self.model.values())

    def handle(self, data: Sequence[dict[str, Any]], context: Any) -> list[str]:
        """Answer a batch: one JSON text a request, its status set in the context."""
        requests = [self._read(row, number, context) for number, row in enumerate(data)]
        fields = [item for request in requests for item in request.items]
        products = self.preprocess(fields)
        scores = self.inference(products)
        return self.postprocess(requests, products, scores, context)

    def preprocess(self, fields: Sequence[ProductFields | ProductError]) -> list[Product | ProductError]:
        """Decode pictures and tokenise titles, several at a time; what fails is an error in its place."""
        return list(self._pool.map(self._prepare, fields))

    def inference(self, products: Sequence[Product | ProductError]) -> list[NDArray[np.float64] | ProductError]:
        """Calibrated scores (C,) of each product, or the error that stands in its place."""
        valid = [product for product in products if not isinstance(product, ProductError)]
        size = self.settings.max_batch
        blocks = [valid[start : start + size] for start in range(0, len(valid), size)]
        answers = iter([answer for block in blocks for answer in self._answer(block)])
        return [product if isinstance(product, ProductError) else next(answers) for product in products]

    def postprocess(
        self,
        requests: Sequence[ProductRequest],
        products: Sequence[Product | ProductError],
        scores: Sequence[NDArray[np.float64] | ProductError],
        context: Any,
    ) -> list[str]:
        """Serialise the answers request by request and set the HTTP statuses."""
        items = iter(zip(products, scores, strict=True))
        bodies = []
        for number, request in enumerate(requests):
            answers = [self._document(fields, *next(items)) for fields in request.items]
            status, body = serialise(answers, many=request.many)
            context.set_response_status(code=status, phrase=HTTPStatus(status).phrase, idx=number)
            context.set_response_content_type(number, "application/json")
            bodies.append(body)
        return bodies

    def _read(self, row: dict[str, Any], number: int, context: Any) -> ProductRequest:
        headers = {str(name).lower(): value for name, value in context.get_all_request_header(number).items()}
        try:
            if headers.get("explain") == "True":
                raise ProductError("explanations_unavailable", "explanations are not offered by this model")
            return read_request(row, headers.get("content-type"), self.settings)
        except ProductError as error:
            return ProductRequest([error], many=False)

    def _prepare(self, fields: ProductFields | ProductError) -> Product | ProductError:
        if isinstance(fields, ProductError):
            return fields
        image = fields.image if "image" in self.settings.modalities else None
        text = fields.text if "text" in self.settings.modalities else None
        try:
            product = self.preprocessor(image, text)
        except ProductError as error:
            return error
        except MemoryError:
            return ProductError("out_of_memory", "not enough memory for this product; send a smaller picture")
        if not product.present.any():
            return ProductError("missing_field", f"{', '.join(self.settings.modalities)}: this model needs it")
        return product

    def _answer(self, products: Sequence[Product]) -> list[NDArray[np.float64] | ProductError]:
        """Scores of one batch; where the batch fails, each product alone, so that only the offender fails."""
        try:
            scores = self._scores(self.backend, products)
        except Exception as error:  # an engine's errors share no base class
            if len(products) > 1:
                return [answer for product in products for answer in self._answer([product])]
            logger.error("the model failed on a product: %s", type(error).__name__)
            return [_model_error(error)]
        invalid = ProductError("model_output_invalid", "the model gave no finite scores for this product")
        return [row if np.isfinite(row).all() else invalid for row in scores]

    def _scores(self, backend: Backend, products: Sequence[Product]) -> NDArray[np.float64]:
        """(N, C) softmax of the logits over the temperature."""
        logits = backend(collate(products)).astype(np.float64) / self.settings.temperature
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found out by the caller
            exponentials = np.exp(logits - logits.max(1, keepdims=True))
            scores: NDArray[np.float64] = exponentials / exponentials.sum(1, keepdims=True)
        return scores

    def _document(
        self,
        fields: ProductFields | ProductError,
        product: Product | ProductError,
        scores: NDArray[np.float64] | ProductError,
    ) -> dict[str, Any] | ProductError:
        if isinstance(scores, ProductError):
            return scores
        assert isinstance(fields, ProductFields) and isinstance(product, Product)
        read = [name for name, there in zip(("image", "text"), product.present, strict=True) if there]
        return product_answer(scores, top_k=fields.top_k, modalities=read, model=self.model, settings=self.settings)


def _threads(worker_config: dict[str, Any]) -> int:
    """The cores of this worker: all that the process may use, shared among the workers of the model."""
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // max(1, int(worker_config.get("maxWorkers", 1))))


def _model_error(error: Exception) -> ProductError:
    """Which error stands for an engine's failure on a single product."""
    words = f"{type(error).__name__} {error}".lower()
    if isinstance(error, MemoryError) or "outofmemory" in words or "allocate memory" in words or "bad_alloc" in words:
        return ProductError("out_of_memory", "not enough memory to classify this product")
    return ProductError("model_output_invalid", "the model failed on this product")
