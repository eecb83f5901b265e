"""Feature files: written to one .npy batch by batch; an interrupted extraction resumes after the last whole batch."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from training.system.processes import main_first
from training.system.storage import require_room, storage_errors, warn

Blocks = Callable[[int], Iterator[NDArray[np.float16]]]


def read_or_compute(path: Path, blocks: Blocks, *, rows: Sequence[int]) -> NDArray[np.float16]:
    """Read an array from its file, or compute it first. The next call resumes an interrupted one.

    Args:
        blocks: k -> the blocks from the k-th on, each (rows, ...) float16.
        rows: number of rows of each block.

    Returns:
        (sum of rows, ...) float16, memory-mapped.

    Raises:
        StorageError: the disk has too little room.
    """
    with main_first():
        if not path.exists() or not _is_whole(path, sum(rows)):
            _write(path, blocks, rows)
    array: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return array


def _is_whole(path: Path, rows: int) -> bool:
    try:
        whole: bool = np.load(path, mmap_mode="r").shape[0] == rows
    except (ValueError, EOFError):
        whole = False
    if not whole:
        warn(f"{path} is damaged: its features are extracted again")
    return whole


def _write(path: Path, blocks: Blocks, rows: Sequence[int]) -> None:
    """Append to a partial file and rename it when it is complete. A memory map would crash on a full disk."""
    partial = path.with_suffix(".partial")
    with storage_errors(path):
        partial.touch()
        with partial.open("r+b") as file:
            done = _truncate_to_block(file, rows)
            for number, block in enumerate(blocks(done), start=done):
                if number == 0:
                    _write_header(file, (sum(rows), *block.shape[1:]))
                if number == done:
                    require_room(path, sum(rows[done:]) * _row_bytes(block.shape))
                file.write(np.ascontiguousarray(block, dtype=np.float16).data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def _truncate_to_block(file: BinaryIO, rows: Sequence[int]) -> int:
    """Cut off an incomplete block; returns the number of complete blocks."""
    done = end = 0
    if (shape := _read_header(file)) is not None and shape[0] == sum(rows):
        ends = file.tell() + _row_bytes(shape) * np.cumsum([0, *rows])
        done = max(0, int(np.searchsorted(ends, os.fstat(file.fileno()).st_size, side="right")) - 1)
        end = int(ends[done]) if done else 0
    file.seek(end)
    file.truncate()
    return done


def _read_header(file: BinaryIO) -> tuple[int, ...] | None:
    try:
        npy.read_magic(file)
        shape: tuple[int, ...] = npy.read_array_header_1_0(file)[0]
    except ValueError:
        return None
    return shape


def _row_bytes(shape: tuple[int, ...]) -> int:
    return np.dtype(np.float16).itemsize * math.prod(shape[1:])


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    descr = npy.dtype_to_descr(np.dtype(np.float16))
    npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
