"""The pipeline behind other servers, each in the way that its documentation shows.

A module serves ``PRODUCT_ARCHIVE`` on loopback at ``PRODUCT_PORT``, in batches of at most ``PRODUCT_CAP``, in
``PRODUCT_WORKERS`` processes that compute and share the cores. It runs as
``python -m benchmarks.server.peers.NAME`` in the environment that ``make bench`` builds; Triton has one of its own
beside it.
"""

import os
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"
DELAY_MS = 1  # as the archive's model-config.yaml says


class Settings(NamedTuple):
    """What every peer is told.

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
    """From the environment, because some frameworks read the command line themselves."""
    return Settings(
        Path(os.environ["PRODUCT_ARCHIVE"]),
        int(os.environ["PRODUCT_PORT"]),
        int(os.environ["PRODUCT_CAP"]),
        int(os.environ["PRODUCT_WORKERS"]),
    )


def triton_python(python: Path) -> Path:
    """Of Triton's environment, which lies beside that of the other peers.

    Args:
        python: of theirs.
    """
    return python.parents[2] / "triton" / "bin" / "python"
