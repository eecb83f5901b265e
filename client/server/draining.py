"""Lets a server finish the requests that it has, before it is stopped."""

import contextlib
import time

import psutil

from client.api.errors import ClientError
from client.api.log import Log
from client.api.management import Management
from client.server.listeners import has_connections, refuse_connections
from client.server.local_server import LocalServer
from client.server.processes import workers

DRAIN_LIMIT = 30.0
QUIET = 2.0  # seconds; longer than a batch waits between the queue and a worker
_RESTING = 0.1  # seconds of processor time that waiting workers may take meanwhile
_POLL = 0.1


def drain(server: LocalServer, *, limit: float, log: Log) -> bool:
    """Refuse new connections, and wait until every request is answered.

    TorchServe counts the requests in its queues, not those that a worker is answering. So the requests are over when
    nobody is connected or can be, or when the queues are empty and the workers have rested for ``QUIET`` seconds.

    Args:
        server: a server that runs.
        limit: seconds.
        log: gets a line.

    Returns:
        True if every request was answered within the limit.
    """
    config = server.config
    port = config.listeners["inference_address"][1]
    refused = refuse_connections(server.front_end, port)
    way = "new connections are refused" if refused else "new ones still come, so take the server out of its proxy first"
    log(f"Draining for at most {limit:g} s: requests under way are answered, {way}")
    deadline, quiet_since, work = time.monotonic() + limit, time.monotonic(), _work(server)
    with Management(config.management_url, tokens=config.tokens()) as management:
        while has_connections(port) or not refused:  # where new ones still come, that nobody is there means nothing
            now = time.monotonic()
            if _waiting(management) or _work(server) - work > _RESTING:
                quiet_since, work = now, _work(server)
            if now - quiet_since >= QUIET:
                break
            if now >= deadline:
                return False
            time.sleep(_POLL)
    return server.running


def _waiting(management: Management) -> bool:
    """True while requests are in a queue, as far as the server says."""
    with contextlib.suppress(ClientError):
        return any(version.pending for model in management.models() for version in management.versions(model))
    return True


def _work(server: LocalServer) -> float:
    """Seconds of processor time that the workers have taken."""
    seconds = 0.0
    for worker in workers(server.temporary):
        with contextlib.suppress(psutil.Error):  # it has just ended
            seconds += sum(psutil.Process(worker).cpu_times()[:2])
    return seconds
