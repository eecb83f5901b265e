"""TorchServe's context for a process without TorchServe: the part of it that the service reads and writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def load_context(folder: Path, *, model: str, version: str, workers: int = 1, gpu: int | None = None) -> Any:
    """Return a context to initialise the service with; nothing is counted for Prometheus.

    Args:
        folder: the unpacked archive.
        model: name for the answers.
        version: version for the answers.
        workers: processes that share the cores with this one, itself included.
        gpu: number of the GPU to use; None uses none.
    """
    return SimpleNamespace(
        system_properties={"model_dir": str(folder), "gpu_id": gpu},
        model_yaml_config={"maxWorkers": workers},
        manifest={"model": {"modelVersion": version}},
        model_name=model,
        metrics=None,
    )


class BatchContext:
    """The context of one batch.

    Args:
        headers: of each request.

    Attributes:
        statuses: HTTP status of each request, once the batch has been handled.
    """

    def __init__(self, headers: Sequence[Mapping[str, str]]) -> None:
        self._headers = headers
        self.statuses = [0] * len(headers)

    def get_all_request_header(self, number: int) -> Mapping[str, str]:
        """Return the headers of a request."""
        return self._headers[number]

    def set_response_status(self, *, code: int, phrase: str, idx: int) -> None:
        """Keep the status; a server derives the phrase from it."""
        self.statuses[idx] = code

    def set_response_content_type(self, number: int, value: str) -> None:
        """Ignore the content type: it is always JSON."""

    def set_response_header(self, number: int, key: str, value: str) -> None:
        """Ignore headers, which are for TorchServe's front end."""
