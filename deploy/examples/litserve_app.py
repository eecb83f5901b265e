"""LitServe: ``python litserve_app.py`` where ``product_model`` can be imported.

Its server process parses the JSON, so it refuses what is no JSON by itself; worker processes compute the batches.
"""

import os
from collections.abc import Sequence
from typing import Any

import litserve
import product_model
from fastapi import Request, Response

PORT, WORKERS = int(os.environ.get("PRODUCT_PORT", "8000")), int(os.environ.get("PRODUCT_WORKERS", "2"))
BATCH = int(os.environ.get("PRODUCT_BATCH", "16"))


class ProductApi(litserve.LitAPI):
    """The hooks of LitServe."""

    def setup(self, device: str) -> None:
        """Load the model in the worker process."""
        self.model = product_model.load(workers=WORKERS)

    def decode_request(self, request: Request) -> Any:
        """Return the product, or the ``instances``, which the server has parsed."""
        return request

    def batch(self, inputs: Sequence[Any]) -> list[Any]:
        """Leave the list as it is."""
        return list(inputs)

    def predict(self, x: list[Any]) -> list[product_model.Reply]:
        """Answer a batch."""
        return self.model.respond([product_model.Request(body) for body in x])

    def unbatch(self, output: list[product_model.Reply]) -> list[product_model.Reply]:
        """Leave the list as it is."""
        return output

    def encode_response(self, output: product_model.Reply) -> Response:
        """The body is JSON already."""
        return Response(output.body, output.status, media_type="application/json")


if __name__ == "__main__":
    api = ProductApi(max_batch_size=BATCH, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=120, fast_queue=True)
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning", access_log=False)
