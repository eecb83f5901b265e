"""Measure every system in each round, in alternating order, and simulate the latencies of a perfect queue."""

import dataclasses
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.server.load.queueing import BatchTimes, simulate_queue
from benchmarks.server.load.task import percentile
from benchmarks.server.measure import in_process
from benchmarks.server.measure.one_system import SystemBench
from benchmarks.server.measure.plan import Plan
from benchmarks.server.systems.names import CASCADE, IN_PROCESS, NOOP, OURS, PEER_CASCADE, STOCK
from benchmarks.server.systems.peer import Peer, peers
from benchmarks.server.systems.served_model import ServedModel
from benchmarks.server.systems.system import NotServing
from benchmarks.server.systems.torchserve import TorchServe
from client.api.errors import ClientError

CONNECTIONS_PER_SLOT = 4
"""Connections at saturation for each request of a batch, so that full batches wait while one is computed."""


@dataclasses.dataclass
class Results:
    """All measured figures; they can be written as JSON.

    Args:
        in_process: a result of :func:`benchmarks.server.measure.in_process.measure` for each round.
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


@dataclasses.dataclass
class Rounds:
    """All measurements of a run.

    Args:
        plan: the lengths of the measurements.
        served: the model that every system serves.
        python: Python of the peers' environment.
        bodies: kind of request -> file of bodies.
        only: names of the systems to measure.
        results: what was measured so far.
    """

    plan: Plan
    served: ServedModel
    python: Path
    bodies: dict[str, Path]
    only: Sequence[str]
    results: Results = dataclasses.field(default_factory=Results)

    def __post_init__(self) -> None:
        self._bench = SystemBench(self.plan, self.bodies)

    def run(self) -> Results:
        """Run all measurements."""
        if STOCK in self.only and len(self.plan.stock_settings) > 1:
            self._choose_stock()
        systems = {system.name: system for system in self._systems() if system.name in self.only}
        names = [IN_PROCESS, *systems]
        steps = [(number, name) for number in range(self.plan.rounds) for name in names[:: -1 if number % 2 else 1]]
        with tqdm(steps, desc="measure", unit="system", disable=None) as bar:
            for number, name in bar:
                bar.set_postfix_str(f"round {number + 1}: {name}")
                if name == IN_PROCESS:
                    self._measure_in_process()
                elif name not in self.results.missing:
                    self._measure(systems[name], number)
        return self.results

    def _measure_in_process(self) -> None:
        kinds = {kind: self.bodies[kind] for kind in self.plan.kinds if kind != "form"}
        self.results.in_process.append(
            in_process.measure(self.served.archive, self.plan.batch_seconds, kinds, workers=self.served.workers)
        )

    def _measure(self, system: Peer | TorchServe, number: int) -> None:
        name, setting = system.name, self.results.stock_setting
        connections = _connections(setting[0] if name == STOCK and setting else self.served.cap)
        try:
            with system.running(self._bench.probe) as running:
                self.results.systems[name].append(
                    self._bench.measure(system, running, connections=connections, seed=number)
                )
        except (NotServing, ClientError, OSError) as error:
            self.results.missing[name] = f"{type(error).__name__}: {error}"
            tqdm.write(f"{name} is not measured: {error}", file=sys.stderr)

    def _systems(self) -> list[Peer | TorchServe]:
        stock = self.served.stock_archive(*(self.results.stock_setting or self.plan.stock_settings[0]))
        shape = {"cap": self.served.cap, "workers": self.served.workers}
        cascade: list[Peer | TorchServe] = []
        if self.served.cascade is not None:
            first, *_ = peers(self.python, self.served.cascade, **shape)
            cascade = [
                TorchServe(CASCADE, self.served.cascade, golden=True),
                dataclasses.replace(first, name=PEER_CASCADE),
            ]
        return [
            TorchServe(OURS, self.served.archive, golden=True),
            *cascade,
            *peers(self.python, self.served.archive, **shape),
            TorchServe(STOCK, stock),
            TorchServe(NOOP, self.served.noop),
        ]

    def _choose_stock(self) -> None:
        """Find the batch size and delay with which the stock handler is fastest."""
        for batch, delay in tqdm(self.plan.stock_settings, desc="stock handler's best batch", disable=None):
            system = TorchServe(STOCK, self.served.stock_archive(batch, delay))
            try:
                with system.running(self._bench.probe) as running:
                    load = self._bench.saturate(running, "both", self.plan.seconds, connections=_connections(batch))
            except (NotServing, ClientError, OSError) as error:
                self.results.missing[STOCK] = f"{type(error).__name__}: {error}"
                return
            self.results.stock_rates[f"{batch} / {delay} ms"] = load.rate
            if load.rate >= max(self.results.stock_rates.values()):
                self.results.stock_setting = (batch, delay)


def _connections(batch: int) -> int:
    """Number of connections at saturation."""
    return max(16, CONNECTIONS_PER_SLOT * batch)


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
