"""Mapping in threads keeps the order and stops at the first error."""

import threading
import time
from collections.abc import Iterator

import pytest

from training.system import threads
from training.system.threads import map_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    assert map_threads(slow_first, range(50), description="", progress=False) == [item * item for item in range(50)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_no_call_starts_after_a_failure(error: type[BaseException]) -> None:
    begun = []
    lock = threading.Lock()

    def fail_early(item: int) -> None:
        with lock:
            begun.append(item)
        if item == 3:
            raise error
        time.sleep(0.001)

    with pytest.raises(error):
        map_threads(fail_early, range(5000), description="", progress=False)
    assert len(begun) < 2500


def test_ctrl_c_in_the_progress_bar_stops_too(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def bar(results: Iterator[None], **_: object) -> Iterator[None]:
        yield next(results)
        raise KeyboardInterrupt

    def slow(item: int) -> None:
        begun.append(item)
        time.sleep(0.001)

    monkeypatch.setattr(threads, "shown_progress", bar)
    with pytest.raises(KeyboardInterrupt):
        threads.map_threads(slow, range(5000), description="")
    assert len(begun) < 2500
