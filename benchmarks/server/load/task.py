"""The task of the load generator, and its result."""

import dataclasses
from collections.abc import Sequence

import numpy as np

GOOD, REFUSED, LOST = 200, 503, 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The requests to send.

    Args:
        url: of the predictions.
        bodies: file of :func:`benchmarks.server.load.bodies.write_bodies`.
        headers: with each request.
        body_format: of each body, of :data:`benchmarks.server.load.body_formats.BODY_FORMATS`.
        connections: of a closed loop; 0 for an open one.
        rate: of an open loop, a second.
        requests: a closed loop ends after so many; 0 leaves it to the time.
        warm: seconds that do not count.
        seconds: that count.
        seed: of the arrivals.
    """

    url: str
    bodies: str
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body_format: str = "plain"
    connections: int = 0
    rate: float = 0.0
    requests: int = 0
    warm: float = 0.0
    seconds: float = 1.0
    seed: int = 0


@dataclasses.dataclass
class LoadResult:
    """The answers to the requests of a task.

    Args:
        seconds: of the window.
        statuses: HTTP status -> answers within the window; 0 where none came.
        latencies: seconds of each answer of status 200.
        refused: seconds of each answer of status 503.
        answers: of status 200, the warm-up's among them.
        arrivals: when the requests of an open loop were due.
        cpu_seconds: of this process, while it sent.
        wall_seconds: likewise.
        late: seconds that the generator itself was late, at the 99th percentile of an open loop.
    """

    seconds: float = 0.0
    statuses: dict[str, int] = dataclasses.field(default_factory=dict)
    latencies: list[float] = dataclasses.field(default_factory=list)
    refused: list[float] = dataclasses.field(default_factory=list)
    answers: int = 0
    arrivals: list[float] = dataclasses.field(default_factory=list)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    late: float = 0.0

    def count(self, task: Task, status: int, *, due: float, now: float) -> None:
        """Count an answer: one of a closed loop by when it came, one of an open loop by when it was due.

        Args:
            task: says when the window begins and how long it is.
            status: of the answer, or ``LOST``.
            due: seconds from the beginning when the request should have gone out.
            now: likewise, when the answer came.
        """
        self.answers += status == GOOD
        moment = now if task.connections else due
        if not task.requests and not task.warm <= moment < task.warm + task.seconds:
            return
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
        if status == GOOD:
            self.latencies.append(now - due)
        elif status == REFUSED:
            self.refused.append(now - due)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.statuses.get("200", 0) / self.seconds


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of all does not exceed (linear between neighbours); NaN of nothing."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), share)) if len(values) else float("nan")
