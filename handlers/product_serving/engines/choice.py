"""Which engine answers: by the machine, by what the archive was verified with, and by a short measurement."""

import logging
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from .engine import Engine, EngineError
from .int8 import cpu_flags
from .table import AUTO, ENGINES, EngineRow, Site, engine_row

logger = logging.getLogger(__name__)
WORTH = 1.1  # times as fast as the reference; below, its exact answers are the better bargain


class Chosen(NamedTuple):
    """The engine that answers.

    Args:
        name: of its row.
        engine: loaded.
        reason: why it was chosen, which ones were passed over, and why.
    """

    name: str
    engine: Engine
    reason: str


class Choice:
    """The choice of an engine for one archive.

    Args:
        site: the archive and the machine.
        accept: raises where an engine's answers are not the expected ones.
        seconds: an engine's time for a batch.
    """

    def __init__(self, site: Site, *, accept: Callable[[Engine], None], seconds: Callable[[Engine], float]) -> None:
        self._site, self._accept, self._seconds = site, accept, seconds
        self._reasons: list[str] = []
        self._faults: list[str] = []

    def choose(self, wanted: str, *, verified: Collection[str] = ()) -> Chosen:
        """The fastest engine that loads and is accepted.

        Args:
            wanted: an engine's name, which is then the only candidate; ``auto`` takes, on a GPU, the first of the GPU's
                engines, else a CPU's exact one, and on a CPU the first fast engine that pays, else an exact one.
            verified: engines that passed the export's accuracy gate.

        Raises:
            EngineError: none is left; the message says what was wrong with each.
        """
        gpu = self._site.gpu
        if wanted != AUTO:
            self._reasons.append(f"settings ask for {wanted}")
            return self._chosen(*self._first([engine_row(wanted)]))
        self._reasons.append("no GPU" if gpu is None else f"GPU {gpu} was given")
        allowed = [row for row in ENGINES if row.gate is None or row.gate in verified]
        of_gpu = [row for row in allowed if row.device == "gpu"]
        exact = [row for row in allowed if row.device == "cpu" and row.gate is None]
        fast = [row for row in allowed if row.device == "cpu" and row.gate is not None]
        if gpu is not None:
            return self._chosen(*self._first(of_gpu + exact))
        return self._chosen(*self._faster(in_order_of_speed(fast), *self._first(exact)))

    def _chosen(self, name: str, engine: Engine) -> Chosen:
        return Chosen(name, engine, "; ".join(self._reasons))

    def _first(self, rows: Iterable[EngineRow]) -> tuple[str, Engine]:
        for row in rows:
            if engine := self._load(row):
                return row.name, engine
        raise EngineError("no engine gives the expected answers: " + "; ".join(self._faults))

    def _faster(self, rows: Iterable[EngineRow], reference: str, exact: Engine) -> tuple[str, Engine]:
        """The first engine that is worth its rounding; else the reference."""
        for row in rows:
            engine = self._load(row)
            gain = self._gain(row, engine, exact) if engine else None
            if engine and gain and gain >= WORTH:
                self._reasons.append(f"{gain:.1f} times as fast here as {reference}")
                return row.name, engine
            if gain:
                self._reasons.append(f"{row.name} is {gain:.2f} times as fast here")
        return reference, exact

    def _load(self, row: EngineRow) -> Engine | None:
        try:
            engine = row.build(self._site)
            self._accept(engine)
        except Exception as error:  # whatever a driver, a library or a graph does, the next engine may still serve
            self._pass_over(row, error)
            return None
        return engine

    def _gain(self, row: EngineRow, engine: Engine, exact: Engine) -> float | None:
        """How many times as fast as the reference; None where it fails."""
        try:
            return self._seconds(exact) / self._seconds(engine)
        except Exception as error:
            self._pass_over(row, error)
            return None

    def _pass_over(self, row: EngineRow, error: Exception) -> None:
        self._reasons.append(f"passed over {row.name} ({type(error).__name__})")
        self._faults.append(f"{row.name}: {error}")
        logger.warning("engine %s is passed over: %s", row.name, error)


def in_order_of_speed(fast: Iterable[EngineRow]) -> list[EngineRow]:
    """The fast engines of a CPU, in the order in which they are tried.

    bf16 rounds less than int8, but without AMX it is the slower one: by a tenth on an AMD EPYC, by more than half on an
    Intel Xeon, where it does not even reach fp32.
    """
    first = "openvino" if "amx_bf16" in cpu_flags() else "int8"
    return sorted(fast, key=lambda row: row.name != first)
