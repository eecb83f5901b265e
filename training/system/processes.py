"""Several processes that train as one, on several GPUs: started and joined by Accelerate (DDP underneath).

    accelerate launch --multi_gpu --num_processes 4 -m training train --data ... --out runs/mine

or ``torchrun --nproc-per-node 4 -m training train ...``, on one machine. Without a launcher there is one process, and
nothing here does anything.

What is shared out are the fits that tune encoders, where the time goes: every process takes its part of every batch,
and their gradients are summed, so that the steps are those of one process with whole batches. Features, heads and
results are the main process's; the others wait, then read what it wrote. The main process alone prints and writes.

Tested with two processes on a CPU (gloo). On GPUs (NCCL, batch normalisation over all processes) it has not been run
yet, and nothing has been measured.
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
from tqdm import tqdm

from training.system.rank import is_main_process, process_count, rank

LONGEST_WAIT = timedelta(days=1)  # for the main process's features, heads and results
TrainingBatch = tuple[tuple[Tensor, ...], Tensor]
Value = TypeVar("Value")


class Batches(Iterable[TrainingBatch], Sized, Protocol):
    """Batches of one pass, countable for the progress bar."""


class Share(NamedTuple):
    """What this process's part of a batch counts.

    Args:
        weight: of its mean loss, so that the mean over processes is the mean over the whole batch.
        products: in the whole batch.
    """

    weight: float
    products: int


@contextmanager
def only_main_prints() -> Iterator[None]:
    """Inside, the main process alone prints and draws bars; at the end the processes part."""
    if is_main_process():
        yield
    else:
        tqdm.__init__ = functools.partialmethod(tqdm.__init__, disable=True)  # type: ignore[assignment, method-assign]
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def broadcast_from_main(compute: Callable[[], Value]) -> Value:
    """What the main process computes, in every process.

    Args:
        compute: called in the main process; its result must be picklable.

    Raises:
        SystemExit: it failed there, and the error is raised there.
    """
    if process_count() == 1:
        return compute()
    if not is_main_process():
        heard: Value = _received()
        return heard
    with _broadcast_failure():
        value = compute()
    broadcast_object_list([True, value])
    return value


@contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through the body first, then the others, which find on disk what it wrote.

    Raises:
        SystemExit: it failed there, and the error is raised there.
    """
    if process_count() == 1:
        yield
        return
    if not is_main_process():
        _received()
        yield
        return
    with _broadcast_failure():
        yield
    broadcast_object_list([True, None])


@contextmanager
def distributed(model: nn.Module) -> Iterator[nn.Module]:
    """The model as all processes train it: gradients are averaged over them, and batch statistics too where it can be.

    Args:
        model: in the same state everywhere; stays the owner of the weights.

    Yields:
        What to call in place of the model.
    """
    if torch.cuda.is_available():  # PyTorch has it for GPUs only
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    yield _accelerator().prepare_model(model)
    _accelerator().free_memory()


def split_batches(batches: Batches) -> tuple[Batches, list[Share]]:
    """This process's part of every batch, and what each part counts.

    Args:
        batches: a data loader with a batch sampler that draws the same in every process.

    Raises:
        TypeError: it is none.
    """
    loader = _loader(batches)
    whole, count, number = list(loader.batch_sampler or ()), process_count(), rank()
    parts = [rows[number::count] for rows in whole]
    shares = [Share(len(part) * count / len(rows), len(rows)) for part, rows in zip(parts, whole, strict=True)]
    # A process without a row of a small batch still takes part in the step, with a row that counts nothing.
    return _with_batches(loader, [part or rows[:1] for part, rows in zip(parts, whole, strict=True)]), shares


def predict_together(
    predict: Callable[[Batches], tuple[NDArray[np.float32], NDArray[np.int64]]], batches: Batches
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What ``predict`` gives for all batches, each process having done its part; the rows are in another order.

    Args:
        predict: batches -> logits (N, C), targets (N,).
        batches: a data loader.
    """
    loader = _loader(batches)
    whole = list(loader.batch_sampler or ())
    if len(whole) < process_count():
        return predict(batches)
    parts = gather_object([predict(_with_batches(loader, whole[rank() :: process_count()]))])
    logits, targets = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(targets)


def process_mean(value: Tensor) -> Tensor:
    """The mean of () tensors over all processes."""
    mean: Tensor = reduce(value, reduction="mean")
    return mean


def _loader(batches: Batches) -> DataLoader[Any]:
    if not isinstance(batches, DataLoader):
        raise TypeError(f"processes share out the batches of data loaders, got {type(batches).__name__}")
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
    except Exception:  # of Ctrl-C the launcher tells the others
        broadcast_object_list([False, None])
        raise


def _received() -> Any:
    _accelerator()
    told: list[Any] = [False, None]
    broadcast_object_list(told)
    if not told[0]:
        sys.exit(1)
    return told[1]


@functools.cache
def _accelerator() -> Accelerator:
    """Meets the other processes, and takes this one's GPU, when first called."""
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    return Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=[waiting])
