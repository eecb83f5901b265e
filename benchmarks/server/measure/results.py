"""Everything that a run measured, and the perfect queue beside it."""

import dataclasses
from collections import defaultdict
from typing import Any

from benchmarks.server.load.queueing import BatchTimes, simulate_queue
from benchmarks.server.load.task import percentile
from benchmarks.server.systems.names import OURS


@dataclasses.dataclass
class Results:
    """Everything that was measured; JSON-able.

    Args:
        in_process: one entry a round, see :class:`benchmarks.server.measure.in_process.InProcess`.
        systems: name -> one entry a round.
        missing: name -> why it was not measured.
        stock_setting: batch size and delay that the stock handler was best with.
        stock_rates: requests a second by setting.
    """

    in_process: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    systems: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    stock_setting: tuple[int, int] | None = None
    stock_rates: dict[str, float] = dataclasses.field(default_factory=dict)


def add_simulations(results: Results, *, cap: int, workers: int) -> None:
    """Put the perfect queue's p99 beside each measured one: the same arrivals, our own batch times in process.

    Args:
        results: complete; changed.
        cap: the most requests of a batch.
        workers: that take batches.
    """
    merged: dict[int, list[float]] = defaultdict(list)
    for entry in results.in_process:
        for size, times in entry["batch_seconds"].items():
            merged[int(size)] += times
    for entry in results.systems.get(OURS, []) if merged else []:
        for loop in entry.get("open", []):
            arrivals = loop.pop("arrivals")
            latencies = simulate_queue(arrivals, BatchTimes(merged), cap=cap, servers=workers)
            counted = [latency for due, latency in zip(arrivals, latencies, strict=True) if due >= loop["warm"]]
            loop["perfect_p50_ms"] = 1000 * percentile(counted, 0.5)
            loop["perfect_p99_ms"] = 1000 * percentile(counted, 0.99)
