"""The length of a run: how many rounds, products and seconds."""

import dataclasses

from benchmarks.server.load.bodies import KINDS

LOADS = (0.3, 0.5, 0.7, 0.9)
OVERLOAD = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Counts and seconds of a run; the defaults are those of a full one.

    Args:
        name: ``quick`` or ``full``.
        rounds: number of rounds. Each measures every system, every second round in reverse order (A B B A).
        products: number of distinct products in the requests.
        photos: number of distinct large pictures.
        kinds: kinds of requests, ``both`` first.
        warm_seconds: length of the warm-up under load.
        seconds: length of a saturation with both modalities.
        kind_seconds: length of a saturation with another kind of request.
        load_seconds: length of an open loop.
        unloaded: number of single requests, one after the other.
        batch_seconds: seconds for each batch size in process.
        stock_settings: (batch size, ``maxBatchDelay`` in ms) pairs to try with the stock handler.
    """

    name: str = "full"
    rounds: int = 4
    products: int = 512
    photos: int = 64
    kinds: tuple[str, ...] = KINDS
    warm_seconds: float = 2
    seconds: float = 6
    kind_seconds: float = 3
    load_seconds: float = 10
    unloaded: int = 150
    batch_seconds: float = 1.5
    stock_settings: tuple[tuple[int, int], ...] = ((1, 100), (4, 20), (8, 20), (16, 20), (32, 50))


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
FULL = Plan()
PLANS = {plan.name: plan for plan in (QUICK, FULL)}
