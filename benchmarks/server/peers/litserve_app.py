"""LitServe: its server process parses the JSON, and worker processes compute the batches."""

from collections.abc import Sequence
from typing import Any

import litserve
from fastapi import Request, Response

from benchmarks.server.peers.archive_handler import DELAY_MS, HOST, ArchiveHandler, settings


class ProductApi(litserve.LitAPI):  # type: ignore[misc]
    """The four hooks of LitServe."""

    def setup(self, device: str) -> None:
        """Load the model in the worker process."""
        self.handler = ArchiveHandler(settings().archive, workers=settings().workers)

    def decode_request(self, request: Request) -> Any:
        """Return the product, which the server has parsed."""
        return request

    def batch(self, inputs: Sequence[Any]) -> list[Any]:
        """Leave the list as it is."""
        return list(inputs)

    def predict(self, x: list[Any]) -> list[str]:
        """Answer a batch."""
        return self.handler(x)

    def unbatch(self, output: list[str]) -> list[str]:
        """Leave the list as it is."""
        return output

    def encode_response(self, output: str) -> Response:
        """Leave the text as it is: it is JSON."""
        return Response(output, media_type="application/json")


def main() -> None:
    """Serve until the process ends."""
    _, port, cap, workers = settings()
    api = ProductApi(max_batch_size=cap, batch_timeout=DELAY_MS / 1000)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, timeout=120, fast_queue=True)
    server.run(host=HOST, port=port, generate_client_file=False, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
