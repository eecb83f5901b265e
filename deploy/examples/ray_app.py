"""Ray Serve: ``python ray_app.py`` where ``product_model`` can be imported.

A proxy process for HTTP, and replicas that compute batches with ``serve.batch``.
"""

import os
import signal

import product_model
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

PORT, WORKERS = int(os.environ.get("PRODUCT_PORT", "8000")), int(os.environ.get("PRODUCT_WORKERS", "2"))
BATCH = int(os.environ.get("PRODUCT_BATCH", "16"))


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class ProductDeployment:
    """A replica."""

    def __init__(self) -> None:
        self.model = product_model.load(workers=WORKERS)

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.001)
    async def answer(self, requests: list[product_model.Request]) -> list[product_model.Reply]:
        """Answer a batch."""
        return self.model.respond(requests)

    async def __call__(self, request: Request) -> Response:
        """Answer a product, or ``instances``, in any form that the HTTP API takes except multipart."""
        body, content_type = await request.body(), request.headers.get("content-type")
        reply = await self.answer(product_model.Request(body, content_type))
        return Response(reply.body, reply.status, media_type="application/json")


if __name__ == "__main__":
    cores = max(1 + WORKERS, len(os.sched_getaffinity(0)))
    folder = os.environ.get("PRODUCT_FOLDER")  # for Ray's own files
    ray.init(num_cpus=cores, include_dashboard=False, configure_logging=False, _temp_dir=folder)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT, "access_log": False})
    serve.run(ProductDeployment.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
