"""The settings of a peer. They are environment variables, since some frameworks read the command line themselves."""

import os
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"
DELAY_MS = 1  # as maxBatchDelay in the archive's model-config.yaml


class Settings(NamedTuple):
    """The settings that every peer gets.

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
        int(os.environ["PRODUCT_CAP"]),
        int(os.environ["PRODUCT_WORKERS"]),
    )
