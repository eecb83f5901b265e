"""Waits for the queues of versions: until one is short, and until one stays empty."""

import time

from client.api.errors import ClientError
from client.api.management import Management

DRAIN_TIMEOUT = 60.0
CATCH_UP_TIMEOUT, CAUGHT_UP = 20.0, 4  # seconds; requests in the queue of a server that keeps up with its load
# Longer than a batch takes: TorchServe counts the requests in a queue, not those that a worker is answering.
DRAIN_GRACE = 2.0
_POLL = 0.2


class DrainError(ClientError):
    """A version still has requests; it stays registered."""


def let_catch_up(management: Management, model: str) -> None:
    """Wait until the default version's queue is short again: a full queue rejects requests."""
    deadline = time.monotonic() + CATCH_UP_TIMEOUT
    while (found := management.find(model)) and found.pending > CAUGHT_UP and time.monotonic() < deadline:
        time.sleep(_POLL)


def drain(management: Management, model: str, version: str, *, grace: float) -> None:
    """Wait until the queue has been empty for ``grace`` seconds.

    Raises:
        DrainError: requests still come after ``DRAIN_TIMEOUT`` seconds.
    """
    began = time.monotonic()
    idle_since: float | None = None
    while True:
        found, now = management.find(model, version), time.monotonic()
        if found is not None and found.pending:
            idle_since = None
        elif idle_since is None:
            idle_since = now
        if idle_since is not None and now - idle_since >= grace:
            return
        if now - began > DRAIN_TIMEOUT:
            raise DrainError(
                f"{model} {version} still gets requests, so it stays registered; "
                f"run `python -m client retire {model} {version}` once they have ended"
            )
        time.sleep(_POLL)
