"""Train with several processes on several GPUs of one machine, by Accelerate (DDP).

    accelerate launch --multi_gpu --num_processes 4 -m training train --data ... --out runs/mine
    torchrun --nproc-per-node 4 -m training train --data ... --out runs/mine

Without a launcher there is one process, and the functions here do nothing.

Only the fits that tune encoders are distributed; they take most of the time. Every process takes its part of every
batch, and the gradients are combined, so that each step equals the step of one process with the whole batch. The main
process computes features, heads and results; the others wait and read its files. Only the main process prints and
writes.

Tested with two processes on a CPU (gloo). Not yet run or measured on GPUs (NCCL, synchronised batch normalisation).
"""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import broadcast_object_list, gather_object, reduce
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.system.progress import silence
from training.system.rank import is_main_process, process_count, rank

MAX_WAIT = timedelta(days=1)  # for the features, heads and results of the main process
TrainingBatch = tuple[tuple[Tensor, ...], Tensor]
Value = TypeVar("Value")


class Batches(Iterable[TrainingBatch], Sized, Protocol):
    """The batches of one pass over the data; their number is known."""


class Share(NamedTuple):
    """This process's share of a batch.

    Args:
        weight: factor for its mean loss; the mean over all processes is then the mean over the whole batch.
        products: number of products in the whole batch.
    """

    weight: float
    products: int


@contextmanager
def only_main_prints() -> Iterator[None]:
    """Silence the other processes in the block; at its end the process group is destroyed."""
    if is_main_process():
        yield
    else:
        silence()
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def broadcast_from_main(compute: Callable[[], Value]) -> Value:
    """Compute a value in the main process and return it in every process.

    Args:
        compute: called in the main process only; its result must be picklable.

    Raises:
        SystemExit: in the other processes, if ``compute`` raised an error in the main one.
    """
    if process_count() == 1:
        return compute()
    if not is_main_process():
        received: Value = _receive()
        return received
    with _broadcast_failure():
        value = compute()
    broadcast_object_list([True, value])
    return value


@contextmanager
def main_first() -> Iterator[None]:
    """Run the block in the main process first, then in the others, which find its files on disk.

    Raises:
        SystemExit: in the other processes, if the block raised an error in the main one.
    """
    if process_count() == 1:
        yield
        return
    if not is_main_process():
        _receive()
        yield
        return
    with _broadcast_failure():
        yield
    broadcast_object_list([True, None])


@contextmanager
def distributed(model: nn.Module) -> Iterator[nn.Module]:
    """Wrap a model so that all processes train it together: gradients, and on GPUs batch statistics, are averaged.

    Args:
        model: in the same state in every process; it keeps the weights.

    Yields:
        The module to call instead of the model.
    """
    if torch.cuda.is_available():  # PyTorch synchronises batch norms on GPUs only
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    yield _accelerator().prepare_model(model)
    _accelerator().free_memory()


def split_batches(batches: Batches) -> tuple[Batches, list[Share]]:
    """This process's part of every batch, and its share of each.

    Args:
        batches: a data loader whose batch sampler draws the same batches in every process.

    Raises:
        TypeError: ``batches`` is not a data loader.
    """
    loader = _loader(batches)
    whole, count, number = list(loader.batch_sampler or ()), process_count(), rank()
    parts = [rows[number::count] for rows in whole]
    shares = [Share(len(part) * count / len(rows), len(rows)) for part, rows in zip(parts, whole, strict=True)]
    # A process that gets no row of a small batch takes part with one row of weight 0.
    return _with_batches(loader, [part or rows[:1] for part, rows in zip(parts, whole, strict=True)]), shares


def predict_together(
    predict: Callable[[Batches], tuple[NDArray[np.float32], NDArray[np.int64]]], batches: Batches
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Predict all batches, each process its part. The order of the rows changes.

    Args:
        predict: batches -> logits (N, C), targets (N, A).

    Returns:
        Logits (N, C) and targets (N, A) of all batches, in every process.
    """
    loader = _loader(batches)
    whole = list(loader.batch_sampler or ())
    if len(whole) < process_count():
        return predict(batches)
    parts = gather_object([predict(_with_batches(loader, whole[rank() :: process_count()]))])
    logits, targets = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(targets)


def process_mean(value: Tensor) -> Tensor:
    """The mean of a () tensor over all processes."""
    mean: Tensor = reduce(value, reduction="mean")
    return mean


def _loader(batches: Batches) -> DataLoader[Any]:
    if not isinstance(batches, DataLoader):
        raise TypeError(f"batches must be a DataLoader, got {type(batches).__name__}")
    return batches


def _with_batches(loader: DataLoader[Any], batches: list[list[int]]) -> DataLoader[Any]:
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
    )


@contextmanager
def _broadcast_failure() -> Iterator[None]:
    _accelerator()
    try:
        yield
    except Exception:  # not KeyboardInterrupt: the launcher passes Ctrl-C to every process
        broadcast_object_list([False, None])
        raise


def _receive() -> Any:
    _accelerator()
    message: list[Any] = [False, None]
    broadcast_object_list(message)
    succeeded, value = message
    if not succeeded:
        sys.exit(1)
    return value


@functools.cache
def _accelerator() -> Accelerator:
    """The first call joins the process group and selects this process's GPU."""
    waiting = InitProcessGroupKwargs(timeout=MAX_WAIT)
    return Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=[waiting])
