"""The archive's handler without TorchServe: it takes request bodies and returns JSON texts. All peers serve it.

It is called as TorchServe calls it, and does the same work: parse, decode, tokenise, infer and serialise.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from client.scoring.local import LocalEngine

JSON_HEADERS = {"Content-Type": "application/json"}


class ArchiveHandler:
    """The handler of an archive in this process.

    Args:
        archive: the ``.mar``.
        workers: number of processes with such a handler; they share the cores.

    Raises:
        ClientError: the archive does not load.
    """

    def __init__(self, archive: Path, *, workers: int = 1) -> None:
        threads = max(1, len(os.sched_getaffinity(0)) // workers)
        self.handler = LocalEngine(archive, threads=threads).handler

    def __call__(self, bodies: Sequence[bytes | Mapping[str, Any]]) -> list[str]:
        """Answer a batch.

        Args:
            bodies: JSON texts, or objects that the framework has parsed.
        """
        return self.handler.handle([{"body": body} for body in bodies], _Context())


class _Context:
    """The part of TorchServe's context that the handler uses."""

    def get_all_request_header(self, number: int) -> dict[str, str]:
        return JSON_HEADERS

    def set_response_status(self, *, code: int, phrase: str, idx: int) -> None:
        """Ignore the status. The check before the measurement finds refused bodies."""

    def set_response_content_type(self, number: int, value: str) -> None:
        """Ignore the content type; every peer sets its own."""
