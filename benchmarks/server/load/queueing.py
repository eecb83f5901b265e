"""Random arrivals, and a simulation of a perfect batching server.

Shapes: N arrivals, S measured times of one batch size.
"""

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def poisson_arrivals(rate: float, *, seconds: float, seed: int) -> NDArray[np.float64]:
    """Draw the arrival times of a Poisson process.

    Args:
        rate: mean arrivals a second.
        seconds: length of the process.
        seed: of the random numbers.

    Returns:
        (N,) float64, seconds from the start, ascending.

    Raises:
        ValueError: the rate or the length is not positive.
    """
    if not rate > 0 or not seconds > 0:
        raise ValueError(f"rate and seconds must be > 0, got {rate} and {seconds}")
    chance = np.random.default_rng(seed)
    gaps = chance.exponential(1 / rate, size=int(rate * seconds + 10 * np.sqrt(rate * seconds) + 10))
    arrivals = np.cumsum(gaps)
    return arrivals[arrivals < seconds]


class BatchTimes:
    """Random batch times: quantiles of the measured ones, interpolated linearly between the measured sizes.

    Args:
        measured: batch size -> (S,) seconds.

    Raises:
        ValueError: nothing was measured.
    """

    def __init__(self, measured: Mapping[int, Sequence[float]]) -> None:
        if not measured or not all(measured.values()):
            raise ValueError("batch times need at least one size and a time of each size")
        self._sizes = sorted(measured)
        self._times = [sorted(measured[size]) for size in self._sizes]
        self._chance = np.random.default_rng(0)

    def __call__(self, size: int) -> float:
        """Draw the seconds of one batch: one random quantile, taken from both neighbouring sizes."""
        quantile = self._chance.random()
        times = [values[int(quantile * len(values))] for values in self._times]
        return float(np.interp(size, self._sizes, times))


def simulate_queue(
    arrivals: Sequence[float] | NDArray[np.float64], times: BatchTimes, *, cap: int, servers: int = 1
) -> list[float]:
    """Simulate the latencies of perfect servers with one queue, first in, first out.

    A free server takes all waiting requests at once, up to the cap. Reading, sending and scheduling take no time, and
    no batch waits to fill. The difference from a real server is that server's own cost.

    Args:
        arrivals: (N,) seconds, ascending.
        times: batch times.
        cap: most requests of a batch.
        servers: number of servers that share the queue.

    Returns:
        N latencies: seconds from an arrival to the end of its batch.
    """
    latencies: list[float] = []
    free = [0.0] * servers
    first, count = 0, len(arrivals)
    while first < count:
        begin = max(heapq.heappop(free), float(arrivals[first]))
        last = first
        while last < count and last - first < cap and arrivals[last] <= begin:
            last += 1
        end = begin + times(last - first)
        heapq.heappush(free, end)
        latencies += [end - float(arrivals[number]) for number in range(first, last)]
        first = last
    return latencies
