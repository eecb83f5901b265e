"""The archive's handler without TorchServe: it takes request bodies and returns JSON texts.

It is called as TorchServe calls it, and does the same work: parse, decode, tokenise, infer and serialise. The settings
of a peer are environment variables, since some frameworks read the command line themselves.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from client.scoring.local import LocalEngine
from handlers.product_serving.resources import usable_cores
from handlers.product_serving.standalone.context import BatchContext

HOST = "127.0.0.1"
DELAY_MS = 1  # as maxBatchDelay in the archive's model-config.yaml
JSON_HEADERS = {"Content-Type": "application/json"}


class Settings(NamedTuple):
    """The settings that every peer of this folder gets.

    Args:
        archive: archive to serve.
        port: port to listen on.
        cap: most requests of a batch.
        workers: number of worker processes.
    """

    archive: Path
    port: int
    cap: int
    workers: int


def settings() -> Settings:
    """Read the environment variables."""
    return Settings(
        Path(os.environ["PRODUCT_ARCHIVE"]),
        int(os.environ["PRODUCT_PORT"]),
        int(os.environ["PRODUCT_BATCH"]),
        int(os.environ["PRODUCT_WORKERS"]),
    )


class ArchiveHandler:
    """The handler of an archive in this process.

    Args:
        archive: the ``.mar``.
        workers: number of processes with such a handler; they share the cores.

    Raises:
        ClientError: the archive does not load.
    """

    def __init__(self, archive: Path, *, workers: int = 1) -> None:
        threads = max(1, usable_cores() // workers)
        self.handler = LocalEngine(archive, threads=threads).handler

    def __call__(self, bodies: Sequence[bytes | Mapping[str, Any]]) -> list[str]:
        """Answer a batch.

        Args:
            bodies: JSON texts, or objects that the framework has parsed.
        """
        context = BatchContext([JSON_HEADERS] * len(bodies))
        return self.handler.handle([{"body": body} for body in bodies], context)
