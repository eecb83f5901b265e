"""How far a command is: a bar in a terminal; in a file or a pipe a line a minute, which a log can keep.

Nothing else of ours imports tqdm for training, evaluation, reports and archives.
"""

import functools
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Bar = tqdm
SECONDS_BETWEEN_LINES = 60.0


def progress(
    items: Iterable[Item] | None = None,
    *,
    description: str = "",
    unit: str = "it",
    total: int | None = None,
    initial: int = 0,
    leave: bool | None = False,
    delay: float = 0,
    smoothing: float = 0.3,
    shown: bool = True,
) -> "Bar[Item]":
    """Iterate over items and show how many are done; without items the caller counts by ``update()``.

    Args:
        items: passed on one by one; None for a bar that is updated by hand, and is a context manager.
        description: text in front.
        unit: name of one item.
        total: number of items; None takes the length of ``items``, if it has one.
        initial: number that was done before.
        leave: keep the bar in the terminal at the end; None keeps it unless it stands below another one.
        delay: seconds without a bar at the beginning.
        smoothing: of the speed, 0 (mean over all) to 1 (the last one alone).
        shown: False shows nothing.
    """
    kind: Any = tqdm if sys.stderr.isatty() else LineAMinute
    # Without the key, a process that must not print keeps what `silence` has set.
    hidden: dict[str, Any] = {} if shown else {"disable": True}
    bar: Bar[Item] = kind(
        items, desc=description, unit=unit, total=total, initial=initial, leave=leave, delay=delay,
        smoothing=smoothing, **hidden,
    )  # fmt: skip
    return bar


def note(text: str, file: TextIO | None = None) -> None:
    """Print a line above the bars that are on the screen.

    Args:
        file: None for standard output.
    """
    tqdm.write(text, file=file)


def silence() -> None:
    """Show no progress in this process from now on: another process of the same command shows it."""
    tqdm.__init__ = functools.partialmethod(tqdm.__init__, disable=True)  # type: ignore[assignment, method-assign]


class LineAMinute(tqdm):  # type: ignore[type-arg]
    """A bar for a stream that is no terminal. Work of less than a minute prints nothing; the rest ends with a line."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._last, self._told = time.monotonic(), -1.0
        super().__init__(*arguments, **named)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Print a line, unless the last one is less than a minute old."""
        if not self.disable and time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last, self._told = time.monotonic(), self.n
            self._print()

    def clear(self, nolock: bool = False) -> None:
        """Nothing: printed lines stay."""

    def close(self) -> None:
        """Print the last line, if there was one before it."""
        if self.disable:
            return
        self.disable = True
        self._decr_instances(self)  # type: ignore[attr-defined]
        if 0 <= self._told < self.n:
            self._print()

    def _print(self) -> None:
        self.fp.write(f"{self._sentence()}\n")
        self.fp.flush()

    def _sentence(self) -> str:
        """Such as ``picture features: 120 of 600, 20 %, 01:00 so far, 04:00 to go``."""
        seconds, of = self.format_dict["elapsed"], "" if self.total is None else f" of {self.total:,.0f}"
        parts = [f"{self.n:,.0f}{of}" if of else f"{self.n:,.0f} {self.unit}"]
        if self.total:
            parts.append(f"{100 * self.n / self.total:.0f} %")
        parts.append(f"{self.format_interval(seconds)} so far")
        done = self.n - self.initial
        if self.total and done > 0 and self.n < self.total:
            parts.append(f"{self.format_interval(seconds * (self.total - self.n) / done)} to go")
        name = self.desc.removesuffix(": ") if self.desc else ""
        return (f"{name}: " if name else "") + ", ".join(parts)
