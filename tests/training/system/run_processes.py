"""Training in processes of their own, which may be killed: forked from one that has imported everything, so they start
at once.
"""

import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from training import commands
from training.__main__ import main
from training.pipeline.training_run import train_run
from training.run.options import TrainOptions

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.small_tower", "training.__main__"])


def start(
    target: Callable[..., Any], *arguments: Any, log: Path, environment: dict[str, str] | None = None
) -> BaseProcess:
    """A process that calls ``target`` with what it prints in ``log``; it ends with the target's exit status."""
    process = CONTEXT.Process(target=_logged, args=(target, arguments, log, environment or {}))
    process.start()
    return process


def train(options: TrainOptions) -> int:
    """A whole run."""
    train_run(options)
    return 0


def signal_instead_of_training(number: int, arguments: list[str]) -> int:
    """The command line, sent a signal where it would begin to train."""
    commands.train_run = lambda options: signal.raise_signal(number)  # type: ignore[assignment]
    return main(arguments)


def ranks(count: int) -> list[dict[str, str]]:
    """The environment variables that a launcher sets in one of several processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1", **address}
    return [{**shared, "RANK": str(number), "LOCAL_RANK": str(number)} for number in range(count)]


def _logged(target: Callable[..., Any], arguments: tuple[Any, ...], log: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    with log.open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        try:
            status = target(*arguments)
        except Exception:
            traceback.print_exc()
            status = 1
    sys.exit(status)
