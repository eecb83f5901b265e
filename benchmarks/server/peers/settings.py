"""The settings of a peer, in environment variables: some frameworks read the command line themselves."""

import os
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"
DELAY_MS = 1  # as the archive's model-config.yaml says


class Settings(NamedTuple):
    """The settings that every peer gets.

    Args:
        archive: to serve.
        port: to listen on.
        cap: the most requests of a batch.
        workers: processes that compute.
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
