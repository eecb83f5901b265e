"""How long a saturation is measured: batches are few on a slow machine, and a rate needs many of them."""

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.server.load.task import LoadResult
from benchmarks.server.measure.one_system import TURNS, SystemBench
from benchmarks.server.measure.plan import FULL
from benchmarks.server.systems.system import NotServing


@pytest.mark.parametrize(
    ("latency", "windows"),
    [(0.2, [6.0]), (5.0, [6.0, 5.0 * TURNS]), (None, [6.0])],
    ids=["fast", "slow", "no answer"],
)
def test_a_saturation_lasts_some_turns(
    latency: float | None, windows: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = SystemBench(FULL, {})
    sent: list[float] = []

    def send(*_: object, seconds: float, **__: object) -> LoadResult:
        sent.append(seconds)
        return LoadResult(seconds=seconds, latencies=[] if latency is None else [latency] * 3)

    monkeypatch.setattr(bench, "_send", send)
    running: Any = None
    load = bench.saturate(running, "both", 6.0, connections=64)
    assert sent == windows and load.seconds == windows[-1]


def test_a_system_that_ended_under_load_is_reported_and_the_others_are_measured() -> None:
    bench = SystemBench(FULL, {})
    gone: Any = SimpleNamespace(processes=dict)
    with pytest.raises(NotServing, match="Triton ended while it was measured"):
        bench._memory("Triton", gone)
