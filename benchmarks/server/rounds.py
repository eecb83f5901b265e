"""Measure every system in turns, forwards and backwards, and keep what was found round by round."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.server import in_process
from benchmarks.server.envelopes import ENVELOPES
from benchmarks.server.figures import percentile
from benchmarks.server.load import Load, Task
from benchmarks.server.payloads import Body, read_bodies
from benchmarks.server.plan import IN_PROCESS, LOADS, NOOP, OURS, OVERLOAD, STOCK, Plan
from benchmarks.server.processes import Usage, usage
from benchmarks.server.queueing import BatchTimes, simulate_queue
from benchmarks.server.stages import stage_milliseconds
from benchmarks.server.subject import Subject
from benchmarks.server.systems import NotServing, Running, System, TorchServe, ask, peers
from client.errors import ClientError

ROOT = Path(__file__).parents[2]
CHECKED = 8
GENERATOR = "load generator"
_LABEL = re.compile(rb'label[\\"]*: *[\\"]*([^\\"]*)')  # BentoML answers JSON within JSON
CORES = len(os.sched_getaffinity(0))
TURNS = 4
"""Answers that each connection of a saturation gets at least: answers come in batches, and few batches are no rate."""
CONNECTIONS_PER_SLOT = 4
"""Connections of a saturation for each request of a batch: the next batches wait while one is computed."""


@dataclasses.dataclass
class Results:
    """Everything that was measured; JSON-able.

    Args:
        in_process: one entry a round, see :class:`benchmarks.server.in_process.InProcess`.
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


class Rounds:
    """All measurements of a run.

    Args:
        plan: how much.
        subject: what.
        python: of the peers' environment; the load comes from there too.
        bodies: kind of request -> file.
        only: names of systems; all by default.
    """

    def __init__(
        self,
        plan: Plan,
        subject: Subject,
        *,
        python: Path,
        bodies: dict[str, Path],
        only: list[str] | None = None,
    ) -> None:
        self._plan, self._subject, self._python, self._bodies = plan, subject, python, bodies
        self._only = only
        self._connections = CONNECTIONS_PER_SLOT * subject.cap
        self._labels: list[bytes] = []
        self.results = Results()

    def run(self) -> Results:
        """Measure everything."""
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
                self._subject.archive, self._plan.batch_seconds, kinds, workers=self._subject.workers
            )
            self.results.in_process.append(dataclasses.asdict(found))
            return
        if name in self.results.missing:
            return
        system = next(system for system in self._systems() if system.name == name)
        try:
            with system.running(self._probe) as running:
                self.results.systems[name].append(self._measure(system, running, seed=number))
        except (NotServing, ClientError, OSError) as error:
            self.results.missing[name] = f"{type(error).__name__}: {error}"
            tqdm.write(f"{name} is not measured: {error}", file=sys.stderr)

    @property
    def _probe(self) -> Body:
        return read_bodies(self._bodies["both"])[0]

    def _wanted(self, name: str) -> bool:
        return self._only is None or name in self._only

    def _systems(self) -> Iterator[System]:
        stock = self._subject.stock_archive(*(self.results.stock_setting or self._plan.stock_settings[0]))
        everything: list[System] = [
            TorchServe(OURS, self._subject.archive, golden=True),
            *peers(self._python, self._subject.archive, cap=self._subject.cap, workers=self._subject.workers),
            TorchServe(STOCK, stock),
            TorchServe(NOOP, self._subject.noop),
        ]
        return (system for system in everything if self._wanted(system.name))

    def _choose_stock(self) -> None:
        """The stock handler's own best batch size and delay."""
        for batch, delay in tqdm(self._plan.stock_settings, desc="stock handler's best batch", disable=None):
            system = TorchServe(STOCK, self._subject.stock_archive(batch, delay))
            try:
                with system.running(self._probe) as running:
                    load = self._saturate(running, "both", self._plan.seconds, connections=max(16, 4 * batch))
            except (NotServing, ClientError, OSError) as error:
                self.results.missing[STOCK] = f"{type(error).__name__}: {error}"
                return
            self.results.stock_rates[f"{batch} / {delay} ms"] = load.rate
            if load.rate >= max(self.results.stock_rates.values()):
                self.results.stock_setting = (batch, delay)

    def _measure(self, system: System, running: Running, *, seed: int) -> dict[str, Any]:
        if system.name not in (STOCK, NOOP):
            self._check(system.name, running)
        connections = self._connections
        if system.name == STOCK and self.results.stock_setting:
            connections = max(16, CONNECTIONS_PER_SLOT * self.results.stock_setting[0])
        before, counted = usage(running.processes()), stage_milliseconds(running.metrics_url)
        load = self._saturate(running, "both", self._plan.seconds, connections=connections)
        found: dict[str, Any] = {
            "start_seconds": running.start_seconds,
            "rates": {"both": load.rate},
            "statuses": load.statuses,
            "p50_ms": 1000 * percentile(load.latencies, 0.5),
            "p99_ms": 1000 * percentile(load.latencies, 0.99),
            "generator_share": load.cpu_seconds / load.wall_seconds / CORES,
            "cpu_ms": self._spent(running, before, load),
        }
        if system.name == OURS:
            after = stage_milliseconds(running.metrics_url)
            found["stages"] = {name: after[name] - counted.get(name, 0) for name in after}
            found |= self._latencies(running, load.rate, seed=seed)
        if system.name not in (STOCK, NOOP):
            kinds = [kind for kind in self._plan.kinds if kind != "form" or isinstance(system, TorchServe)]
            for kind in kinds[1:]:
                rate = self._saturate(running, kind, self._plan.kind_seconds, connections=connections).rate
                found["rates"][kind] = rate
        return {**found, **self._memory(system.name, running)}

    def _check(self, name: str, running: Running) -> None:
        """Every system has to give the same answers: another one would do other work."""
        found = []
        for body in read_bodies(self._bodies["both"])[:CHECKED]:
            enclosed = Body(body.content_type, ENVELOPES[running.envelope](body.content))
            status, answer = ask(running.url, enclosed, running.headers)
            label = _LABEL.search(answer)
            if status != 200 or label is None:
                raise NotServing(f"{name} answers {status}: {answer[:200]!r}")
            found.append(label[1])
        self._labels = self._labels or found
        if found != self._labels:
            raise NotServing(f"{name} answers {found}, another system {self._labels}")

    def _latencies(self, running: Running, saturation: float, *, seed: int) -> dict[str, Any]:
        lone = self._send(running, "both", connections=1, requests=self._plan.unloaded)
        open_loops = [self._open_loop(running, share, saturation, seed=seed) for share in LOADS]
        over = self._send(
            running, "both", rate=OVERLOAD * saturation, warm=self._plan.warm_seconds,
            seconds=self._plan.load_seconds, seed=seed,
        )  # fmt: skip
        return {
            "unloaded_p50_ms": 1000 * percentile(lone.latencies, 0.5),
            "open": open_loops,
            "overload": {
                "offered": OVERLOAD * saturation,
                "goodput": over.rate,
                "statuses": over.statuses,
                "refused_p50_ms": 1000 * percentile(over.refused, 0.5),
                "refused_p99_ms": 1000 * percentile(over.refused, 0.99),
                "generator_share": over.cpu_seconds / over.wall_seconds / CORES,
            },
        }

    def _open_loop(self, running: Running, share: float, saturation: float, *, seed: int) -> dict[str, Any]:
        load = self._send(
            running, "both", rate=share * saturation, warm=self._plan.warm_seconds, seconds=self._plan.load_seconds,
            seed=seed,
        )  # fmt: skip
        return {
            "load": share,
            "offered": share * saturation,
            "arrivals": load.arrivals,
            "warm": self._plan.warm_seconds,
            "statuses": load.statuses,
            "p50_ms": 1000 * percentile(load.latencies, 0.5),
            "p99_ms": 1000 * percentile(load.latencies, 0.99),
            "late_ms": 1000 * load.late,
        }

    def _saturate(self, running: Running, kind: str, seconds: float, *, connections: int) -> Load:
        load = self._send(running, kind, connections=connections, warm=self._plan.warm_seconds, seconds=seconds)
        turn = percentile(load.latencies, 0.5)
        if seconds >= TURNS * turn or not load.latencies:
            return load
        return self._send(running, kind, connections=connections, warm=turn, seconds=TURNS * turn)

    def _send(self, running: Running, kind: str, **task: Any) -> Load:
        whole = Task(
            url=running.url,
            headers=running.headers,
            envelope=running.envelope,
            bodies=str(self._bodies[kind]),
            **task,
        )
        command = [str(self._python), "-m", "benchmarks.server.load_generator"]
        result = subprocess.run(
            command, cwd=ROOT, input=json.dumps(dataclasses.asdict(whole)), capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise NotServing(f"the load generator failed: {result.stderr[-500:]}")
        return Load(**json.loads(result.stdout))

    def _spent(self, running: Running, before: dict[int, Usage], load: Load) -> dict[str, float]:
        """Processor time of an answer by role, in milliseconds; other programs on the machine hardly change it."""
        roles, spent = running.processes(), defaultdict[str, float](float)
        for process, now in usage(roles).items():
            seconds = now.cpu_seconds - (before[process].cpu_seconds if process in before else 0)
            spent[roles[process] or "all"] += 1000 * seconds / max(1, load.answers)
        return {**spent, GENERATOR: 1000 * load.cpu_seconds / max(1, load.answers)}

    def _memory(self, name: str, running: Running) -> dict[str, Any]:
        roles = running.processes()
        found = usage(roles)
        if not found:
            raise NotServing(f"{name} ended while it was measured")
        workers = [entry for process, entry in found.items() if roles[process] == "worker"] or list(found.values())
        largest = max(workers, key=lambda entry: entry.peak_bytes)
        return {
            "all_bytes": sum(entry.peak_bytes for entry in found.values()),
            "worker_bytes": largest.peak_bytes,
            "worker_resident_bytes": largest.resident_bytes,
            "worker_private_bytes": largest.private_bytes,
            "processes": len(found),
        }


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
