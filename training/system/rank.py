"""The rank of this process among those that train together. It imports no heavy library."""

import os


def process_count() -> int:
    """Number of processes that train together, set by the launcher (accelerate, torchrun); 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0; 0 is the main process."""
    return int(os.environ.get("RANK", "0")) if process_count() > 1 else 0


def is_main_process() -> bool:
    """True in the main process, the only one that prints and writes."""
    return rank() == 0
