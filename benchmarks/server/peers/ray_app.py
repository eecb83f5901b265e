"""Ray Serve: a proxy process for HTTP, and replicas that compute batches with ``serve.batch``."""

import os
import signal

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.server.peers.archive_handler import DELAY_MS, HOST, ArchiveHandler, settings
from handlers.product_serving.resources import usable_cores


@serve.deployment(num_replicas=settings().workers, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class ProductDeployment:
    """A replica."""

    def __init__(self) -> None:
        self.handler = ArchiveHandler(settings().archive, workers=settings().workers)

    @serve.batch(max_batch_size=settings().cap, batch_wait_timeout_s=DELAY_MS / 1000)
    async def answer(self, bodies: list[bytes]) -> list[str]:
        """Answer a batch."""
        return self.handler(bodies)

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        return Response(await self.answer(await request.body()), media_type="application/json")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    ray.init(
        num_cpus=max(1 + settings().workers, usable_cores()),
        include_dashboard=False,
        configure_logging=False,
        _temp_dir=os.environ["PRODUCT_FOLDER"],
    )
    serve.start(http_options={"host": HOST, "port": settings().port, "access_log": False})
    serve.run(ProductDeployment.bind(), route_prefix="/predict")  # type: ignore[attr-defined]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


if __name__ == "__main__":
    main()
