"""mosec: ``python mosec_app.py --address 127.0.0.1 --port 8000`` where ``product_model`` can be imported.

A front end in Rust, and Python workers that compute the batches. Its workers see no headers, so a body is told by its
first bytes. They set no status either: a refused product has status 200, and ``code`` in the JSON.
"""

import os

import mosec
import product_model

WORKERS, BATCH = int(os.environ.get("PRODUCT_WORKERS", "2")), int(os.environ.get("PRODUCT_BATCH", "16"))


class ProductWorker(mosec.Worker):
    """A worker process."""

    def __init__(self) -> None:
        super().__init__()
        self.model = product_model.load(workers=WORKERS)

    def deserialize(self, data: bytes) -> bytes:
        """Leave the bytes as they are: the model parses them."""
        return data

    def forward(self, data: list[bytes]) -> list[product_model.Reply]:
        """Answer a batch."""
        return self.model.respond([product_model.Request(body, content_type=None) for body in data])

    def serialize(self, data: product_model.Reply) -> bytes:
        """The body is JSON already."""
        return data.body.encode("ascii")


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(ProductWorker, num=WORKERS, max_batch_size=BATCH, max_wait_time=1, timeout=120)
    server.run()
