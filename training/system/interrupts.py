"""Delay Ctrl-C and SIGTERM to the end of a training step, so that the saved state can always be resumed."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM came. It is a KeyboardInterrupt, so that the same code cleans up."""


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """SIGTERM raises :class:`Terminated` in the block instead of ending the process; main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def delay_signals() -> Iterator[None]:
    """Deliver the first Ctrl-C or SIGTERM at the end of the block, a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            _deliver(number, previous)
        received.append(number)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, previous[number])
    if received:
        _deliver(received[0], previous)


def _deliver(number: int, handlers: Mapping[signal.Signals, object]) -> None:
    """Call the previous handler of a signal."""
    handler = handlers[signal.Signals(number)]
    if callable(handler):
        handler(number, None)
    elif handler != signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
