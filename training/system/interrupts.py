"""Ctrl-C and SIGTERM come between steps, never inside one, so that what is kept is always a state that can go on."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM came; everything that Ctrl-C tidies up is tidied up the same way."""


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM raises :class:`Terminated` instead of ending the process on the spot; main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def delay_signals() -> Iterator[None]:
    """A first Ctrl-C or SIGTERM that comes inside is delivered at the end; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            _deliver(number, previous)
        came.append(number)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, previous[number])
    if came:
        _deliver(came[0], previous)


def _deliver(number: int, handlers: Mapping[signal.Signals, object]) -> None:
    """As if the signal came now."""
    handler = handlers[signal.Signals(number)]
    if callable(handler):
        handler(number, None)
    elif handler != signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
