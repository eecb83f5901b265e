"""BentoML with adaptive batching, which joins the lists of several requests; ``bentoml serve`` starts it."""

from typing import Any

import bentoml

from benchmarks.server.peers.archive_handler import ArchiveHandler, settings


@bentoml.service(workers=settings().workers, traffic={"timeout": 120, "max_concurrency": 1024})
class ProductService:
    """A worker process."""

    def __init__(self) -> None:
        self.handler = ArchiveHandler(settings().archive, workers=settings().workers)

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True, max_batch_size=settings().cap, max_latency_ms=60_000
    )
    def predict(self, products: list[dict[str, Any]]) -> list[str]:
        """Answer a batch."""
        return self.handler(products)
