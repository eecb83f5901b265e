"""Which of the processes that train together this one is; light, so that whatever writes files may ask."""

import os


def process_count() -> int:
    """Processes that train together, as their launcher (accelerate, torchrun) says; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process among them; 0 is the main one."""
    return int(os.environ.get("RANK", "0")) if process_count() > 1 else 0


def is_main_process() -> bool:
    """Whether this process prints and writes; the others only help to train."""
    return rank() == 0
