"""The task of the load generator, and its result."""

import dataclasses
from collections.abc import Sequence

import numpy as np

GOOD, REFUSED, LOST = 200, 503, 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The requests that the load generator sends.

    Args:
        url: URL of the predictions.
        bodies: file of :func:`benchmarks.server.load.bodies.write_bodies`.
        headers: headers of each request.
        body_format: a key of :data:`benchmarks.server.load.bodies.BODY_FORMATS`.
        connections: number of connections of a closed loop; 0 for an open loop.
        rate: requests a second of an open loop.
        requests: number of requests after which a closed loop ends; 0: it ends after ``seconds``.
        warm: seconds of the warm-up, which do not count.
        seconds: seconds of the measurement.
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
        seconds: length of the measurement.
        statuses: HTTP status -> number of answers in the measurement; status 0 counts lost requests.
        latencies: seconds to each answer of status 200.
        refused: seconds to each answer of status 503.
        answers: number of answers of status 200, those of the warm-up included.
        arrivals: seconds at which the requests of an open loop were due.
        cpu_seconds: processor time of the generator.
        wall_seconds: elapsed time of the generator.
        late: 99th percentile of the generator's own delay in an open loop, in seconds.
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
        """Count an answer if its time lies in the measurement: in a closed loop ``now``, in an open loop ``due``.

        Args:
            task: the task, with the length of the warm-up and of the measurement.
            status: status of the answer, or ``LOST``.
            due: seconds from the start at which the request was due.
            now: seconds from the start at which the answer came.
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
        """Answers of status 200 a second."""
        return self.statuses.get("200", 0) / self.seconds


def percentile(values: Sequence[float], share: float) -> float:
    """Return the quantile at a share of 0..1, interpolated linearly; NaN for no values."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), share)) if len(values) else float("nan")
