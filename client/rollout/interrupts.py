"""Steps that a signal must not cut in half."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and the end of the terminal during the block; what came is passed on after it.

    Only Python's main thread gets signals; in others this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {number: signal.getsignal(number) for number in HELD_BACK}
    held = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]  # as under nohup
    for number in held:
        signal.signal(number, lambda received, _: caught.append(received))
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, before[number])
        if caught:
            signal.raise_signal(caught[0])
