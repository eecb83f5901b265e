"""A system that is measured over HTTP: how it is started, asked and stopped."""

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
    """A system that answers.

    Args:
        url: of its predictions.
        headers: with each request.
        body_format: of a body, of :data:`benchmarks.server.load.body_formats.BODY_FORMATS`.
        start_seconds: from its start to the first answer.
        processes: process id -> what it does, as of now.
        metrics_url: of its own counters.
    """

    url: str
    headers: dict[str, str]
    start_seconds: float
    processes: Callable[[], dict[int, str]]
    body_format: str = "plain"
    metrics_url: str | None = None


class System(Protocol):
    """Something that serves."""

    @property
    def name(self) -> str:
        """As reported."""

    def running(self, probe: Body) -> AbstractContextManager[Running]:
        """Start it, wait until it has answered a request, stop it in the end.

        Raises:
            NotServing: it does not come up.
        """


def ask(url: str, body: Body, headers: dict[str, str], *, timeout: float = 60.0) -> tuple[int, bytes]:
    """One request over a connection of its own.

    Raises:
        OSError: nobody answers.
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
    """Asks again and again from now on; what it yields waits for the first answer and tells after how many seconds."""
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
                raise NotServing("it ended before it answered")
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
