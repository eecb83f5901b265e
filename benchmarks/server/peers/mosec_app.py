"""mosec: a front end in Rust, Python processes that compute batches; it reads its port from the command line."""

from mosec import Server, Worker

from benchmarks.server.peers.archive_handler import ArchiveHandler
from benchmarks.server.peers.settings import DELAY_MS, settings


class ProductWorker(Worker):  # type: ignore[misc]
    """The process that computes."""

    def __init__(self) -> None:
        super().__init__()
        self.handler = ArchiveHandler(settings().archive, workers=settings().workers)

    def deserialize(self, data: bytes) -> bytes:
        """The handler parses."""
        return data

    def forward(self, data: list[bytes]) -> list[str]:
        """Answer a batch."""
        return self.handler(data)

    def serialize(self, data: str) -> bytes:
        """The text is JSON already."""
        return data.encode("ascii")


if __name__ == "__main__":
    told, server = settings(), Server()
    server.append_worker(ProductWorker, num=told.workers, max_batch_size=told.cap, max_wait_time=DELAY_MS, timeout=120)
    server.run()
