"""Signals while a command works and while it cleans up, in a process of its own; outputs whose reader has gone."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from training.system.interrupts import Terminated, signals_like_ctrl_c, status_of, tell

# Works until the first signal, cleans up for a while, and says whether it came to the end of that.
COMMAND = """
import signal, sys, time
from training.system.interrupts import signals_like_ctrl_c, status_of
if "deaf" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
try:
    with signals_like_ctrl_c():
        try:
            print("working", flush=True)
            time.sleep(30)
        finally:
            print("cleaning", flush=True)
            time.sleep(float(sys.argv[1]))
            print("clean", flush=True)
except KeyboardInterrupt as interrupt:
    sys.exit(status_of(interrupt))
"""
ROOT = Path(__file__).parents[3]


def run(*signals: signal.Signals, cleaning: float = 0.3, deaf: bool = False) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command: the first signal finds it working, the others cleaning up."""
    command = [sys.executable, "-c", COMMAND, str(cleaning), *(["deaf"] if deaf else [])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.readline()
        for number, more in zip(signals, (True, False, False), strict=False):
            process.send_signal(number)
            printed += process.stdout.readline() if more and not (deaf and number == signal.SIGHUP) else ""
            if not more:  # signals of one kind that arrive together are one
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
        rest, told = process.communicate(timeout=60)
        return process.returncode, printed + rest, told


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("second", [(), (signal.SIGHUP,), (signal.SIGTERM,), (signal.SIGINT,)], ids=str)
def test_what_was_begun_is_undone_whatever_comes_meanwhile(
    number: signal.Signals, status: int, second: tuple[signal.Signals, ...]
) -> None:
    got, printed, told = run(number, *second)
    assert (got, printed) == (status, "working\ncleaning\nclean\n") and "Traceback" not in told


def test_the_third_ctrl_c_ends_the_cleaning() -> None:
    command = [sys.executable, "-c", COMMAND, "30"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "\n" and "one more Ctrl-C ends at once" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
        assert (process.returncode, rest) == (130, "")


def test_a_signal_that_the_process_was_started_deaf_to_stays_ignored() -> None:
    """As SIGHUP under ``nohup``."""
    status, printed, _ = run(signal.SIGHUP, signal.SIGTERM, deaf=True)
    assert (status, printed) == (143, "working\ncleaning\nclean\n")


def test_signals_are_as_before_after_the_block() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(Terminated) as caught, signals_like_ctrl_c():
        signal.raise_signal(signal.SIGHUP)
    assert status_of(caught.value) == 129
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    entered = []
    thread = threading.Thread(target=lambda: entered.append(signals_like_ctrl_c().__enter__()))
    thread.start()
    thread.join()
    assert entered == [None]


def test_a_reader_that_has_gone_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        tell("nobody reads this", stream)
        tell("nor this", stream)
    with Path("/dev/full").open("w") as full, pytest.raises(OSError, match="No space left"):
        try:
            tell("a full disk is an error", full)
        finally:
            os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
