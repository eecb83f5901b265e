"""TorchServe's management API: register, describe, scale, set the default, unregister."""

import dataclasses
import time
from typing import Any
from urllib.parse import quote

from client.api.connection import ApiClient
from client.api.errors import ClientError, ServerError
from client.api.tokens import MANAGEMENT_URL

REGISTER_TIMEOUT = 300.0
_POLL = 0.2


@dataclasses.dataclass(frozen=True)
class ModelVersion:
    """One registered version of a model.

    Args:
        model: registered name.
        version: exact version.
        archive: file that it was registered from.
        min_workers: number of workers that it should have.
        workers: status of each worker, such as ``READY``.
        processes: process id of each worker; 0 or less until it is known.
        pending: requests in its queue.
        queue: requests that its queue can hold; 0 if the server does not say.
        default: it answers requests that name no version.
    """

    model: str
    version: str
    archive: str
    min_workers: int
    workers: tuple[str, ...]
    processes: tuple[int, ...]
    pending: int
    queue: int
    default: bool

    @property
    def ready(self) -> bool:
        """It has all its workers, and each is READY."""
        return 0 < self.min_workers <= len(self.workers) and set(self.workers) == {"READY"}


class Management(ApiClient):
    """A client of the management API; the arguments are those of :class:`client.api.connection.ApiClient`.

    A registration has a longer time limit of its own. Every call raises :class:`ServerError` if the server refuses it,
    and :class:`ServerDown` or :class:`ServerTimeout` if the server does not answer.
    """

    role = "management"
    default_url = MANAGEMENT_URL

    def models(self) -> list[str]:
        """Names of the registered models, in alphabetical order."""
        names: list[str] = []
        token: str | None = None
        while True:
            page = self._get("/models", params={} if token is None else {"next_page_token": token})
            names += [entry["modelName"] for entry in page["models"]]
            token = page.get("nextPageToken")
            if token is None:
                return sorted(names)

    def versions(self, model: str) -> list[ModelVersion]:
        """All registered versions of a model, the default first."""
        default = self.default_version(model)
        documents = self._get(_path(model, "all"))
        found = [_version(document, default=default) for document in documents]
        return sorted(found, key=lambda version: (not version.default, version.version))

    def default_version(self, model: str) -> str:
        """The version that answers requests without a version."""
        return str(self._get(_path(model))[0]["modelVersion"])

    def find(self, model: str, version: str | None = None) -> ModelVersion | None:
        """One version of a model, or None if it is not registered; without ``version`` the default version."""
        try:
            versions = self.versions(model)
        except ServerError as error:
            if error.type == "ModelNotFoundException":
                return None
            raise
        return next(
            (entry for entry in versions if (entry.default if version is None else entry.version == version)), None
        )

    def register(self, archive: str, *, workers: int = 1, timeout: float = REGISTER_TIMEOUT) -> None:
        """Register an archive of the model store and start its workers. The default version does not change.

        This does not wait until the workers are READY: :meth:`wait_ready` does. While TorchServe itself waits for them
        ("synchronous"), one of its few network threads answers nothing, so other requests hang for as long.

        Args:
            archive: file name in the model store.
            workers: number of workers; TorchServe's own default is 0.
            timeout: seconds to wait for the answer.
        """
        params: dict[str, Any] = {"url": archive, "initial_workers": workers, "synchronous": "false"}
        self.request("POST", "/models", params=params, timeout=timeout)

    def wait_ready(
        self, model: str, version: str | None = None, *, timeout: float = REGISTER_TIMEOUT, at_first: bool = False
    ) -> ModelVersion:
        """Wait until all workers of a version are READY.

        Args:
            model: registered name.
            version: exact version; None takes the default one.
            timeout: seconds.
            at_first: a worker that has ended is an error at once. TorchServe would start it again for minutes.

        Raises:
            ServerError: a worker has ended.
            ClientError: some are not READY within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        started: dict[int, int] = {}
        while True:
            found = self.find(model, version)
            if found is not None and found.ready:
                return found
            for worker, process in enumerate(found.processes if found is not None and at_first else ()):
                if process > 0 and started.setdefault(worker, process) != process:
                    message = f"Failed to start workers for model {model} version: {version}"
                    raise ServerError(500, "InternalServerException", message)
            if time.monotonic() > deadline:
                state = "not registered" if found is None else f"workers: {', '.join(found.workers) or 'none'}"
                raise ClientError(f"{model} {version or ''} is not READY after {timeout:g} s ({state})")
            time.sleep(_POLL)

    def scale(self, model: str, version: str, *, workers: int, timeout: float = REGISTER_TIMEOUT) -> None:
        """Set the number of workers, without waiting for new ones, as in :meth:`register`.

        Removed workers lose their requests, so take the version out of use first.
        """
        params: dict[str, Any] = {"min_worker": workers, "max_worker": workers, "synchronous": "false"}
        self.request("PUT", _path(model, version), params=params, timeout=timeout)

    def set_default(self, model: str, version: str) -> None:
        """Make a version the default. TorchServe checks only that the version exists."""
        self.request("PUT", f"{_path(model, version)}/set-default")

    def unregister(self, model: str, version: str) -> None:
        """Remove a version and stop its workers at once; requests that they are working on are lost."""
        self.request("DELETE", _path(model, version))

    def _get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options).json()


def _path(*names: str) -> str:
    return "/models/" + "/".join(quote(name, safe="") for name in names)


def _version(document: Any, *, default: str) -> ModelVersion:
    waiting = document["jobQueueStatus"]
    return ModelVersion(
        model=document["modelName"],
        version=document["modelVersion"],
        archive=document["modelUrl"],
        min_workers=int(document["minWorkers"]),
        workers=tuple(worker["status"] for worker in document["workers"]),
        processes=tuple(int(worker.get("pid", 0)) for worker in document["workers"]),
        pending=int(waiting["pendingRequests"]),
        queue=int(waiting["pendingRequests"]) + int(waiting["remainingCapacity"])
        if "remainingCapacity" in waiting
        else 0,
        default=document["modelVersion"] == default,
    )
