"""Callers who ask a server without a pause, and what each request was answered."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def callers(count: int, ask: Callable[[], str]) -> Iterator[list[str]]:
    """So many callers, as long as the block lasts.

    Args:
        ask: sends one request and returns its outcome. An OSError counts as `lost`.

    Yields:
        The outcomes, in the order in which they come.
    """
    outcomes: list[str] = []
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            try:
                outcomes.append(ask())
            except OSError as error:
                outcomes.append(f"lost: {error!r}")

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        over.set()
        for thread in threads:
            thread.join()
