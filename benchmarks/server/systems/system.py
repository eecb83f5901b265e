"""The interface of a system to measure over HTTP: how it is started, asked and stopped."""

import contextlib
import dataclasses
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks.server.load.bodies import Body
from client.api.errors import ClientError

START_TIMEOUT = 180.0
_PROBE = 0.05


class NotServing(RuntimeError):
    """A system cannot be measured; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A running system.

    Args:
        url: URL of its predictions.
        headers: headers of each request.
        body_format: a key of :data:`benchmarks.server.load.body_formats.BODY_FORMATS`.
        start_seconds: seconds from its start to its first answer.
        processes: function that returns the current processes: process id -> role.
        metrics_url: URL of its metrics, if it has any.
    """

    url: str
    headers: dict[str, str]
    start_seconds: float
    processes: Callable[[], dict[int, str]]
    body_format: str = "plain"
    metrics_url: str | None = None


class System(Protocol):
    """A system to measure."""

    @property
    def name(self) -> str:
        """Its name in reports."""

    def running(self, probe: Body) -> AbstractContextManager[Running]:
        """Start the system, wait until it has answered ``probe``, and stop it on exit.

        Raises:
            NotServing: the system does not start.
        """


def ask(url: str, body: Body, headers: dict[str, str], *, timeout: float = 60.0) -> tuple[int, bytes]:
    """Send a request over a new connection; return the status and the body of the answer.

    Raises:
        OSError: no server answers.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path, body.content, {"Content-Type": body.content_type, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


@contextlib.contextmanager
def first_answer(url: str, body: Body, headers: Callable[[], dict[str, str]]) -> Iterator[Callable[..., float]]:
    """Send a request again and again; yield a function that waits for the first answer and returns its seconds."""
    began, ended, found = time.monotonic(), threading.Event(), threading.Event()
    seconds: list[float] = []

    def probe() -> None:
        while not ended.wait(_PROBE):
            with contextlib.suppress(OSError, ClientError):  # it does not listen yet, or is writing its key file
                status, _ = ask(url, body, headers())
                if status == http.HTTPStatus.OK:
                    seconds.append(time.monotonic() - began)
                    found.set()
                    return

    def answered(alive: Callable[[], bool] = lambda: True) -> float:
        while not found.wait(_PROBE):
            if not alive():
                raise NotServing("the process ended before its first answer")
            if time.monotonic() - began > START_TIMEOUT:
                raise NotServing(f"no answer in {START_TIMEOUT:g} s")
        return seconds[0]

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield answered
    finally:
        ended.set()
        thread.join()
