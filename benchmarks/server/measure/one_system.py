"""Measure a running system: rates, latencies, processor time and memory."""

import dataclasses
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.server.load.bodies import BODY_FORMATS, Body, read_bodies
from benchmarks.server.load.task import LoadResult, Task, percentile
from benchmarks.server.measure.plan import LOADS, OVERLOAD, Plan
from benchmarks.server.systems.names import GENERATOR, NOOP, OURS, STOCK
from benchmarks.server.systems.peer import Peer
from benchmarks.server.systems.process_usage import Usage, usage
from benchmarks.server.systems.system import NotServing, Running, ask
from benchmarks.server.systems.torchserve import TorchServe, stage_milliseconds
from benchmarks.server.systems.torchserve_config import ROOT
from handlers.product_serving.resources import usable_cores

CHECKED = 8
CORES = usable_cores()
TURNS = 4
"""Fewest answers for each connection at saturation. Answers come in batches, and a few batches do not give a rate."""
_LABEL = re.compile(rb'label[\\"]*: *[\\"]*([^\\"]*)')  # BentoML puts JSON into a JSON string


class SystemBench:
    """Measures each system with the same requests.

    Args:
        plan: the lengths of the measurements.
        bodies: kind of request -> file of bodies.
    """

    def __init__(self, plan: Plan, bodies: dict[str, Path]) -> None:
        self._plan, self._bodies = plan, bodies
        self._labels: list[bytes] = []

    @property
    def probe(self) -> Body:
        """The request that a system has to answer before its measurement."""
        return read_bodies(self._bodies["both"])[0]

    def measure(self, system: Peer | TorchServe, running: Running, *, connections: int, seed: int) -> dict[str, Any]:
        """Measure a system; return one entry of :class:`benchmarks.server.measure.rounds.Results`.

        Args:
            system: the system.
            running: its addresses and processes.
            connections: number of connections at saturation.
            seed: of the random arrivals.

        Raises:
            NotServing: the system answers wrongly or has ended.
        """
        if system.name not in (STOCK, NOOP):
            self._check(system.name, running)
        before, counted = usage(running.processes()), stage_milliseconds(running.metrics_url)
        load = self.saturate(running, "both", self._plan.seconds, connections=connections)
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
                load = self.saturate(running, kind, self._plan.kind_seconds, connections=connections)
                found["rates"][kind] = load.rate
        return {**found, **self._memory(system.name, running)}

    def _check(self, name: str, running: Running) -> None:
        """Check that the system gives the same labels as the others; otherwise it does other work."""
        found = []
        for body in read_bodies(self._bodies["both"])[:CHECKED]:
            enclosed = Body(body.content_type, BODY_FORMATS[running.body_format](body.content))
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
        *loads, over = (self._open_loop(running, share * saturation, seed=seed) for share in (*LOADS, OVERLOAD))
        return {
            "unloaded_p50_ms": 1000 * percentile(lone.latencies, 0.5),
            "open": [
                {
                    "load": share,
                    "offered": share * saturation,
                    "arrivals": load.arrivals,
                    "warm": self._plan.warm_seconds,
                    "statuses": load.statuses,
                    "p50_ms": 1000 * percentile(load.latencies, 0.5),
                    "p99_ms": 1000 * percentile(load.latencies, 0.99),
                    "late_ms": 1000 * load.late,
                }
                for share, load in zip(LOADS, loads, strict=True)
            ],
            "overload": {
                "offered": OVERLOAD * saturation,
                "goodput": over.rate,
                "statuses": over.statuses,
                "refused_p50_ms": 1000 * percentile(over.refused, 0.5),
                "refused_p99_ms": 1000 * percentile(over.refused, 0.99),
                "generator_share": over.cpu_seconds / over.wall_seconds / CORES,
            },
        }

    def _open_loop(self, running: Running, rate: float, *, seed: int) -> LoadResult:
        warm, seconds = self._plan.warm_seconds, self._plan.load_seconds
        return self._send(running, "both", rate=rate, warm=warm, seconds=seconds, seed=seed)

    def saturate(self, running: Running, kind: str, seconds: float, *, connections: int) -> LoadResult:
        """Keep ``connections`` connections busy with requests of one kind for ``seconds`` seconds."""
        load = self._send(running, kind, connections=connections, warm=self._plan.warm_seconds, seconds=seconds)
        turn = percentile(load.latencies, 0.5)
        if seconds >= TURNS * turn or not load.latencies:
            return load
        return self._send(running, kind, connections=connections, warm=turn, seconds=TURNS * turn)

    def _send(self, running: Running, kind: str, **task: Any) -> LoadResult:
        whole = Task(
            url=running.url,
            headers=running.headers,
            body_format=running.body_format,
            bodies=str(self._bodies[kind]),
            **task,
        )
        command = [sys.executable, "-m", "benchmarks.server.load.generator"]
        result = subprocess.run(
            command, cwd=ROOT, input=json.dumps(dataclasses.asdict(whole)), capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise NotServing(f"the load generator failed: {result.stderr[-500:]}")
        return LoadResult(**json.loads(result.stdout))

    def _spent(self, running: Running, before: dict[int, Usage], load: LoadResult) -> dict[str, float]:
        """Processor time of an answer by role, in milliseconds. Other programs on the machine hardly change it."""
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
