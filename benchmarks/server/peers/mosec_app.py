"""mosec: a front end in Rust and Python workers that compute the batches. The command line sets its port."""

from mosec import Server, Worker

from benchmarks.server.peers.archive_handler import DELAY_MS, ArchiveHandler, settings


class ProductWorker(Worker):  # type: ignore[misc]
    """A worker process."""

    def __init__(self) -> None:
        super().__init__()
        self.handler = ArchiveHandler(settings().archive, workers=settings().workers)

    def deserialize(self, data: bytes) -> bytes:
        """Leave the bytes as they are: the handler parses them."""
        return data

    def forward(self, data: list[bytes]) -> list[str]:
        """Answer a batch."""
        return self.handler(data)

    def serialize(self, data: str) -> bytes:
        """Encode the text, which is JSON."""
        return data.encode("ascii")


if __name__ == "__main__":
    chosen = settings()
    server = Server()
    server.append_worker(
        ProductWorker, num=chosen.workers, max_batch_size=chosen.cap, max_wait_time=DELAY_MS, timeout=120
    )
    server.run()
