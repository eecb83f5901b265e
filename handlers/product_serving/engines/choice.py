"""Choose the engine: by the machine, by the archive's accuracy figures, and by a short speed measurement."""

import logging
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from .engine import Engine, EngineError
from .int8 import cpu_flags
from .table import AUTO, ENGINES, EngineRow, LoadOptions, engine_row

logger = logging.getLogger(__name__)
MIN_SPEEDUP = 1.1  # over the reference; for a smaller speedup the reference's exact answers are worth more


class ChosenEngine(NamedTuple):
    """The chosen engine.

    Args:
        name: of its row in the table.
        engine: loaded.
        reason: why it was chosen, and why others were passed over.
    """

    name: str
    engine: Engine
    reason: str


class EngineChoice:
    """The choice of an engine for one archive.

    Args:
        options: the archive and the machine.
        check: raises an error if an engine's answers are not the expected ones.
        measure: returns an engine's time for a batch, in seconds.
    """

    def __init__(
        self, options: LoadOptions, *, check: Callable[[Engine], None], measure: Callable[[Engine], float]
    ) -> None:
        self._options, self._check, self._measure = options, check, measure
        self._reasons: list[str] = []
        self._faults: list[str] = []

    def choose(self, wanted: str, *, verified: Collection[str] = ()) -> ChosenEngine:
        """Choose the fastest engine that loads and passes the check.

        Args:
            wanted: an engine's name, which is then the only candidate, or ``auto``. On a GPU, ``auto`` takes the first
                GPU engine that works, else an exact CPU engine. Without a GPU it takes the first fast engine with
                ``MIN_SPEEDUP``, else an exact one.
            verified: names of the engines that passed the export's accuracy gate.

        Raises:
            EngineError: no engine is left; the message gives each engine's error.
        """
        gpu = self._options.gpu
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

    def _chosen(self, name: str, engine: Engine) -> ChosenEngine:
        return ChosenEngine(name, engine, "; ".join(self._reasons))

    def _first(self, rows: Iterable[EngineRow]) -> tuple[str, Engine]:
        for row in rows:
            if engine := self._load(row):
                return row.name, engine
        raise EngineError("no engine gives the expected answers: " + "; ".join(self._faults))

    def _faster(self, rows: Iterable[EngineRow], reference: str, exact: Engine) -> tuple[str, Engine]:
        """Return the first engine with ``MIN_SPEEDUP``, else the reference."""
        for row in rows:
            engine = self._load(row)
            gain = self._gain(row, engine, exact) if engine else None
            if engine and gain and gain >= MIN_SPEEDUP:
                self._reasons.append(f"{gain:.1f} times as fast here as {reference}")
                return row.name, engine
            if gain:
                self._reasons.append(f"{row.name} is {gain:.2f} times as fast here")
        return reference, exact

    def _load(self, row: EngineRow) -> Engine | None:
        try:
            engine = row.build(self._options)
            self._check(engine)
        except Exception as error:  # drivers and libraries raise any error; the next engine may still work
            self._pass_over(row, error)
            return None
        return engine

    def _gain(self, row: EngineRow, engine: Engine, exact: Engine) -> float | None:
        """Speedup over the reference; None if the engine fails."""
        try:
            return self._measure(exact) / self._measure(engine)
        except Exception as error:
            self._pass_over(row, error)
            return None

    def _pass_over(self, row: EngineRow, error: Exception) -> None:
        self._reasons.append(f"passed over {row.name} ({type(error).__name__})")
        self._faults.append(f"{row.name}: {error}")
        logger.warning("engine %s is passed over: %s", row.name, error)


def in_order_of_speed(fast: Iterable[EngineRow]) -> list[EngineRow]:
    """Sort the fast CPU engines into the order in which they are tried.

    bf16 rounds less than int8. Without AMX it is slower: by a tenth on an AMD EPYC, and by more than half on an Intel
    Xeon, where it is slower than fp32 too.
    """
    first = "openvino" if "amx_bf16" in cpu_flags() else "int8"
    return sorted(fast, key=lambda row: row.name != first)
