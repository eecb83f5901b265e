"""Measure every system in each round, in alternating order."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from benchmarks.server.measure import in_process
from benchmarks.server.measure.one_system import SystemBench
from benchmarks.server.measure.plan import Plan
from benchmarks.server.measure.results import Results
from benchmarks.server.systems.names import IN_PROCESS, NOOP, OURS, STOCK
from benchmarks.server.systems.peer import peers
from benchmarks.server.systems.served_model import ServedModel
from benchmarks.server.systems.system import NotServing, System
from benchmarks.server.systems.torchserve import TorchServe
from client.api.errors import ClientError

CONNECTIONS_PER_SLOT = 4
"""Connections at saturation for each request of a batch, so that full batches wait while one is computed."""


class Rounds:
    """All measurements of a run.

    Args:
        plan: the lengths of the measurements.
        served: the model that every system serves.
        python: Python of the peers' environment.
        bodies: kind of request -> file of bodies.
        only: names of the systems to measure; all by default.
    """

    def __init__(
        self,
        plan: Plan,
        served: ServedModel,
        *,
        python: Path,
        bodies: dict[str, Path],
        only: list[str] | None = None,
    ) -> None:
        self._plan, self._served, self._python, self._bodies = plan, served, python, bodies
        self._only = only
        self._bench = SystemBench(plan, bodies)
        self.results = Results()

    def run(self) -> Results:
        """Run all measurements."""
        if self._wanted(STOCK) and len(self._plan.stock_settings) > 1:
            self._choose_stock()
        steps = [IN_PROCESS, *(system.name for system in self._systems())]
        bar = tqdm(total=self._plan.rounds * len(steps), desc="measure", unit="system", disable=None)
        with bar:
            for number in range(self._plan.rounds):
                for name in steps[:: -1 if number % 2 else 1]:
                    bar.set_postfix_str(f"round {number + 1}: {name}")
                    self._step(name, number)
                    bar.update()
        return self.results

    def _step(self, name: str, number: int) -> None:
        if name == IN_PROCESS:
            kinds = {kind: self._bodies[kind] for kind in self._plan.kinds if kind != "form"}
            found = in_process.measure(
                self._served.archive, self._plan.batch_seconds, kinds, workers=self._served.workers
            )
            self.results.in_process.append(dataclasses.asdict(found))
            return
        if name in self.results.missing:
            return
        system = next(system for system in self._systems() if system.name == name)
        try:
            with system.running(self._bench.probe) as running:
                self.results.systems[name].append(
                    self._bench.measure(system, running, connections=self._connections(name), seed=number)
                )
        except (NotServing, ClientError, OSError) as error:
            self.results.missing[name] = f"{type(error).__name__}: {error}"
            tqdm.write(f"{name} is not measured: {error}", file=sys.stderr)

    def _wanted(self, name: str) -> bool:
        return self._only is None or name in self._only

    def _systems(self) -> Iterator[System]:
        stock = self._served.stock_archive(*(self.results.stock_setting or self._plan.stock_settings[0]))
        everything: list[System] = [
            TorchServe(OURS, self._served.archive, golden=True),
            *peers(self._python, self._served.archive, cap=self._served.cap, workers=self._served.workers),
            TorchServe(STOCK, stock),
            TorchServe(NOOP, self._served.noop),
        ]
        return (system for system in everything if self._wanted(system.name))

    def _choose_stock(self) -> None:
        """Find the batch size and delay with which the stock handler is fastest."""
        for batch, delay in tqdm(self._plan.stock_settings, desc="stock handler's best batch", disable=None):
            system = TorchServe(STOCK, self._served.stock_archive(batch, delay))
            try:
                with system.running(self._bench.probe) as running:
                    load = self._bench.saturate(
                        running, "both", self._plan.seconds, connections=_stock_connections(batch)
                    )
            except (NotServing, ClientError, OSError) as error:
                self.results.missing[STOCK] = f"{type(error).__name__}: {error}"
                return
            self.results.stock_rates[f"{batch} / {delay} ms"] = load.rate
            if load.rate >= max(self.results.stock_rates.values()):
                self.results.stock_setting = (batch, delay)

    def _connections(self, name: str) -> int:
        """Number of connections at saturation."""
        if name == STOCK and self.results.stock_setting:
            return _stock_connections(self.results.stock_setting[0])
        return CONNECTIONS_PER_SLOT * self._served.cap


def _stock_connections(batch: int) -> int:
    return max(16, CONNECTIONS_PER_SLOT * batch)
