"""Arrivals and the perfect queue, against what is known in closed form."""

import math

import numpy as np
import pytest

from benchmarks.server.load.queueing import BatchTimes, poisson_arrivals, simulate_queue


def test_arrivals_are_poisson() -> None:
    """Gaps of mean and deviation 1 / rate; counts whose variance is their mean."""
    arrivals = poisson_arrivals(50, seconds=400, seed=1)
    gaps = np.diff(arrivals)
    assert len(arrivals) == pytest.approx(20_000, rel=0.03)
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.05)
    counts = np.bincount(arrivals.astype(int), minlength=400)
    assert counts.var() == pytest.approx(counts.mean(), rel=0.25)


def test_arrivals_ascend_within_their_span_and_repeat_with_their_seed() -> None:
    arrivals = poisson_arrivals(100, seconds=3, seed=7)
    assert (np.diff(arrivals) > 0).all() and arrivals[0] > 0 and arrivals[-1] < 3
    assert (arrivals == poisson_arrivals(100, seconds=3, seed=7)).all()
    assert len(arrivals) != len(poisson_arrivals(100, seconds=3, seed=8)) or not np.allclose(
        arrivals, poisson_arrivals(100, seconds=3, seed=8)
    )


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-1, 1), (math.nan, 1), (1, 0)])
def test_a_rate_of_nothing_is_refused(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="rate and seconds must be > 0"):
        poisson_arrivals(rate, seconds=seconds, seed=0)


def test_the_queue_without_batches_is_that_of_pollaczek_and_khinchine() -> None:
    """M/D/1 at load r and service time s: a request waits r s / (2 (1 - r)) on average."""
    service, load = 0.01, 0.7
    arrivals = poisson_arrivals(load / service, seconds=400, seed=3)
    latencies = simulate_queue(arrivals, BatchTimes({1: [service]}), cap=1)
    assert np.mean(latencies) == pytest.approx(service + load * service / (2 * (1 - load)), rel=0.05)


def test_a_batch_takes_what_waits_up_to_its_cap() -> None:
    """Batches of 1, 2 and 1 at 1 s each: the second and third wait for the first, the fourth for them."""
    latencies = simulate_queue([0.0, 0.1, 0.2, 0.3], BatchTimes({1: [1.0], 2: [1.0]}), cap=2)
    assert latencies == pytest.approx([1.0, 1.9, 1.8, 2.7])


def test_an_idle_server_begins_at_once() -> None:
    assert simulate_queue([1.0, 5.0], BatchTimes({1: [0.5]}), cap=16) == pytest.approx([0.5, 0.5])
    assert simulate_queue([], BatchTimes({1: [0.5]}), cap=16) == []


def test_batch_times_lie_between_the_measured_sizes() -> None:
    times = BatchTimes({1: [1.0], 5: [3.0]})
    assert [times(size) for size in (1, 3, 5, 9)] == pytest.approx([1.0, 2.0, 3.0, 3.0])


def test_batch_times_keep_the_spread_that_was_measured() -> None:
    times = BatchTimes({4: [1.0, 2.0, 3.0]})
    drawn = [times(4) for _ in range(500)]
    assert set(drawn) == {1.0, 2.0, 3.0}
    assert np.mean(drawn) == pytest.approx(2.0, abs=0.1)


def test_batch_times_of_nothing_are_refused() -> None:
    for measured in ({}, {1: []}):
        with pytest.raises(ValueError, match="at least one size"):
            BatchTimes(measured)  # type: ignore[arg-type]


def test_two_servers_take_from_one_queue() -> None:
    """The first two have a server each; the third and fourth go together to the one that is free first."""
    latencies = simulate_queue([0.0, 0.1, 0.2, 0.3], BatchTimes({1: [1.0], 2: [1.0]}), cap=2, servers=2)
    assert latencies == pytest.approx([1.0, 1.0, 1.8, 1.7])


def test_more_servers_wait_as_erlang_says() -> None:
    """M/D/2 at load .7 waits about half of M/M/2's r^2 / (1 - r^2) service times (within some percent at this load)."""
    service, load = 0.01, 0.7
    arrivals = poisson_arrivals(2 * load / service, seconds=400, seed=3)
    latencies = simulate_queue(arrivals, BatchTimes({1: [service]}), cap=1, servers=2)
    wait = service * load**2 / (1 - load**2)
    assert np.mean(latencies) - service == pytest.approx(wait / 2, rel=0.1)
