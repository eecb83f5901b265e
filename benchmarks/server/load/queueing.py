"""Random arrivals, and the best that a server of batches could do with them.

Legend: N arrivals, S measured times of one batch size.
"""

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def poisson_arrivals(rate: float, *, seconds: float, seed: int) -> NDArray[np.float64]:
    """Moments of independent arrivals in a span of time.

    Args:
        rate: a second, on average.
        seconds: of the span.
        seed: of the chance.

    Returns:
        (N,) seconds from the beginning, ascending.

    Raises:
        ValueError: nothing can arrive.
    """
    if not rate > 0 or not seconds > 0:
        raise ValueError(f"rate and seconds must be > 0, got {rate} and {seconds}")
    chance = np.random.default_rng(seed)
    gaps = chance.exponential(1 / rate, size=int(rate * seconds + 10 * np.sqrt(rate * seconds) + 10))
    arrivals = np.cumsum(gaps)
    return arrivals[arrivals < seconds]


class BatchTimes:
    """Random times of batches: drawn from measured ones, linear between the measured sizes.

    Args:
        measured: batch size -> (S,) seconds.
        seed: of the chance.

    Raises:
        ValueError: nothing was measured.
    """

    def __init__(self, measured: Mapping[int, Sequence[float]], *, seed: int = 0) -> None:
        if not measured or not all(measured.values()):
            raise ValueError("batch times need at least one size, and a time of each")
        self._sizes = sorted(measured)
        self._times = [sorted(measured[size]) for size in self._sizes]
        self._chance = np.random.default_rng(seed)

    def __call__(self, size: int) -> float:
        """Seconds of one batch: the same quantile of the measured sizes around it."""
        quantile = self._chance.random()
        times = [values[int(quantile * len(values))] for values in self._times]
        return float(np.interp(size, self._sizes, times))


def simulate_queue(
    arrivals: Sequence[float] | NDArray[np.float64], times: BatchTimes, *, cap: int, servers: int = 1
) -> list[float]:
    """Latencies at perfect servers: first in, first out, a free one takes all that wait, up to its cap, at once.

    Nothing is read, sent or scheduled, and no batch waits to fill. A real server is slower; the rest is its own cost.

    Args:
        arrivals: ascending seconds.
        times: of batches.
        cap: the most requests of one batch.
        servers: that take batches from the one queue.

    Returns:
        (N,) seconds from each arrival to the end of its batch.
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
