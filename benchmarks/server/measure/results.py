"""The results of a run, and the simulated latencies of a perfect queue."""

import dataclasses
from collections import defaultdict
from typing import Any

from benchmarks.server.load.queueing import BatchTimes, simulate_queue
from benchmarks.server.load.task import percentile
from benchmarks.server.systems.names import OURS


@dataclasses.dataclass
class Results:
    """All measured figures; they can be written as JSON.

    Args:
        in_process: an :class:`benchmarks.server.measure.in_process.InProcess` for each round.
        systems: name -> an entry for each round.
        missing: name -> reason why the system was not measured.
        stock_setting: batch size and delay (ms) with which the stock handler was fastest.
        stock_rates: setting -> requests a second.
    """

    in_process: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    systems: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    stock_setting: tuple[int, int] | None = None
    stock_rates: dict[str, float] = dataclasses.field(default_factory=dict)


def add_simulations(results: Results, *, cap: int, workers: int) -> None:
    """Add the perfect queue's p50 and p99, simulated with the same arrivals and our batch times in process.

    Args:
        results: complete results; the function changes them.
        cap: most requests of a batch.
        workers: number of workers.
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
