"""What all systems to measure over HTTP have in common: addresses, processes, and how they are asked."""

import contextlib
import dataclasses
import http.client
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
        body_format: a key of :data:`benchmarks.server.load.bodies.BODY_FORMATS`.
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


def ask(url: str, body: Body, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send a request over a new connection; return the status and the body of the answer.

    Raises:
        OSError: no server answers.
    """
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)) as connection:
        try:
            connection.request("POST", parts.path, body.content, {"Content-Type": body.content_type, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error


@contextlib.contextmanager
def first_answer(url: str, body: Body, headers: Callable[[], dict[str, str]]) -> Iterator[Callable[..., float]]:
    """Send a request again and again; yield a function that waits for the first answer and returns its seconds."""
    began, ended = time.monotonic(), threading.Event()

    def probe() -> float:
        while not ended.wait(_PROBE):
            with contextlib.suppress(OSError, ClientError):  # it does not listen yet, or is writing its key file
                if ask(url, body, headers())[0] == http.HTTPStatus.OK:
                    return time.monotonic() - began
        return math.nan

    def answered(alive: Callable[[], bool] = lambda: True) -> float:
        while not found.done():
            if not alive():
                raise NotServing("the process ended before its first answer")
            if time.monotonic() - began > START_TIMEOUT:
                raise NotServing(f"no answer in {START_TIMEOUT:g} s")
            time.sleep(_PROBE)
        return found.result()

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(probe)
        try:
            yield answered
        finally:
            ended.set()
