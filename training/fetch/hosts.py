"""Take turns at hosts: a few connections each, pauses that they ask for, and an end to those that do not answer."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from training.fetch.errors import FetchError

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
LONGEST_PAUSE = 120.0
GIVEN_UP_AFTER = 8  # pictures in a row that a host did not answer for
UNANSWERED = frozenset({"timeout", "connection_failed", "host_unknown"})
Result = TypeVar("Result")


class Stopped(Exception):
    """The run ends; whoever waits for a turn stops waiting."""


class _Host:
    def __init__(self, most: int) -> None:
        self.turns = threading.Semaphore(most)
        self.free_at = 0.0
        self.failed = 0
        self.given_up: FetchError | None = None


class Hosts:
    """Calls a function for addresses, with repeats.

    Args:
        per_host: most calls at once for one host.
        attempts: most calls for one address.
        first_wait: seconds before the second call; doubled for each further one, with chance.
    """

    def __init__(self, *, per_host: int = 4, attempts: int = 4, first_wait: float = FIRST_WAIT) -> None:
        self._per_host = per_host
        self._attempts = attempts
        self._first_wait = first_wait
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all waiting."""
        self._stopped.set()

    def call(self, name: str, function: Callable[[], Result]) -> Result:
        """Call a function for a host until it succeeds, or may not succeed any more.

        Raises:
            FetchError: the last one, or that of a host that was given up.
            Stopped: the run ends.
        """
        with self._lock:
            host = self._hosts.setdefault(name, _Host(self._per_host))
        for attempt in range(1, self._attempts + 1):
            try:
                with self._turn(host):
                    result = function()
            except FetchError as error:
                if not error.again or attempt == self._attempts or error.wait > LONGEST_PAUSE:
                    raise self._failure(host, error) from error
                wait = min(self._first_wait * 2 ** (attempt - 1), LONGEST_WAIT)
                # Chance, so that threads that failed together do not come back together.
                host.free_at = max(host.free_at, time.monotonic() + error.wait)
                self._sleep(wait * random.uniform(0.5, 1.0))
            else:
                host.failed = 0
                return result
        raise AssertionError("attempts must be > 0")

    @contextmanager
    def _turn(self, host: _Host) -> Iterator[None]:
        with host.turns:
            while host.given_up is None and (pause := host.free_at - time.monotonic()) > 0:
                self._sleep(pause)
            self._sleep(0)
            if host.given_up is not None:
                raise FetchError(host.given_up.reason, host.given_up.detail)
            yield

    def _failure(self, host: _Host, error: FetchError) -> FetchError:
        """What to say of a picture that could not be had; gives up its host if there is reason to."""
        if host.given_up is not None:
            return error
        if error.wait > LONGEST_PAUSE:
            detail = f"{error.detail}, and asks to wait {error.wait:,.0f} s: run the same command again after that"
            host.given_up = FetchError(error.reason, detail)
            return host.given_up
        host.failed = host.failed + 1 if error.reason in UNANSWERED else 0
        if host.failed >= GIVEN_UP_AFTER:
            detail = f"given up after {host.failed} pictures without an answer, the last one: {error.detail}"
            host.given_up = FetchError("host_given_up", f"{detail}; run the same command again later")
        return error

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped
