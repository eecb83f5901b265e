"""Ctrl-C, SIGTERM and a closed terminal (SIGHUP): what was begun is undone, or kept so that it can be resumed."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

Handler = Callable[[int, FrameType | None], None]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GONE = (errno.EPIPE, errno.EIO)
_AT_ONCE = 3  # Ctrl-C
_CLEANING_UP = b"\ncleaning up; one more Ctrl-C ends at once and leaves things as they are\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came. It is a KeyboardInterrupt, so that the same code cleans up.

    Args:
        number: the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        self.number = signal.Signals(number)
        super().__init__(self.number.name)


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status that shells know: 128 and the number of the signal."""
    return 128 + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)


@contextmanager
def signals_like_ctrl_c() -> Iterator[None]:
    """The first SIGTERM or SIGHUP in the block raises :class:`Terminated`, the first Ctrl-C KeyboardInterrupt.

    Later ones are ignored, because they come while the block cleans up: a closed terminal and a service manager send
    several. Only the third Ctrl-C ends the cleaning. A signal that the process was started deaf to stays ignored, as
    SIGHUP under ``nohup``. Outside of the main thread signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if number == signal.SIGINT and received.count(number) == _AT_ONCE - 1:
            _tell(_CLEANING_UP)
        if len(received) == 1 or (number == signal.SIGINT and received.count(number) == _AT_ONCE):
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    with _handled_by(stop):
        yield


def tell(text: str, stream: TextIO) -> None:
    """Print a line. If its reader has gone (a closed terminal or pipe), this and later lines are dropped: what is under
    way, or is being undone, does not stop for want of a listener.
    """
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def delay_signals(*, at_once: int = 2) -> Iterator[None]:
    """Deliver the first signal at the end of the block.

    Args:
        at_once: of several signals, the one that is delivered at once; a closed terminal may send two.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) >= at_once and number != signal.SIGHUP:
            _deliver(number, previous)

    with _handled_by(note) as previous:
        yield
    if received:
        _deliver(received[0], previous)


def _tell(message: bytes) -> None:
    """Write to stderr from within a signal's handler, where printing could meet a line half printed."""
    with suppress(OSError):  # the terminal is gone
        os.write(2, message)


@contextmanager
def _handled_by(handler: Handler) -> Iterator[Mapping[signal.Signals, object]]:
    """Give the signals that are not ignored this handler in the block; yields their earlier handlers."""
    previous = {number: found for number in SIGNALS if (found := signal.getsignal(number)) != signal.SIG_IGN}
    for number in previous:
        signal.signal(number, handler)
    try:
        yield previous
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


def _deliver(number: int, handlers: Mapping[signal.Signals, object]) -> None:
    """Call the previous handler of a signal."""
    handler = handlers[signal.Signals(number)]
    if callable(handler):
        handler(number, None)
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
