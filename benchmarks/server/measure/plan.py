"""The length of a run: how many rounds, products and seconds."""

import dataclasses

from benchmarks.server.load.bodies import KINDS

LOADS = (0.3, 0.5, 0.7, 0.9)
OVERLOAD = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Counts and seconds of a run.

    Args:
        name: ``quick`` or ``full``.
        rounds: each measures every system; every second one backwards (A B B A).
        products: distinct ones in the requests.
        photos: distinct large ones.
        kinds: of requests, ``both`` first.
        warm_seconds: under load before anything counts.
        seconds: of a saturation with both modalities.
        kind_seconds: of a saturation with any other kind of request.
        load_seconds: of an open loop.
        unloaded: lone requests, one after the other.
        batch_seconds: of one batch size in process.
        stock_settings: (batch size, ``maxBatchDelay`` in ms) that the stock handler is tried with.
    """

    name: str
    rounds: int
    products: int
    photos: int
    kinds: tuple[str, ...]
    warm_seconds: float
    seconds: float
    kind_seconds: float
    load_seconds: float
    unloaded: int
    batch_seconds: float
    stock_settings: tuple[tuple[int, int], ...]


QUICK = Plan(
    name="quick",
    rounds=1,
    products=64,
    photos=8,
    kinds=("both", "text"),
    warm_seconds=1,
    seconds=2,
    kind_seconds=1,
    load_seconds=2,
    unloaded=20,
    batch_seconds=0.5,
    stock_settings=((8, 20),),
)
FULL = Plan(
    name="full",
    rounds=4,
    products=512,
    photos=64,
    kinds=KINDS,
    warm_seconds=2,
    seconds=6,
    kind_seconds=3,
    load_seconds=10,
    unloaded=150,
    batch_seconds=1.5,
    stock_settings=((1, 100), (4, 20), (8, 20), (16, 20), (32, 50)),
)
PLANS = {plan.name: plan for plan in (QUICK, FULL)}
