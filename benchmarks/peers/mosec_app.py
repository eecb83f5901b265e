"""mosec: a front end in Rust, a Python process that computes batches; it reads its port from the command line."""

from mosec import Server, Worker

from benchmarks.peers import DELAY_MS, settings
from benchmarks.pipeline import Pipeline


class ProductWorker(Worker):  # type: ignore[misc]
    """The process that computes."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline(settings().archive)

    def deserialize(self, data: bytes) -> bytes:
        """The pipeline parses."""
        return data

    def forward(self, data: list[bytes]) -> list[str]:
        """Answer a batch."""
        return self.pipeline(data)

    def serialize(self, data: str) -> bytes:
        """The text is JSON already."""
        return data.encode("ascii")


if __name__ == "__main__":
    server = Server()
    server.append_worker(ProductWorker, num=1, max_batch_size=settings().cap, max_wait_time=DELAY_MS, timeout=120)
    server.run()
