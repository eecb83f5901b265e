"""Several processes that train as one, on several GPUs: started by Accelerate, joined by its DDP.

    accelerate launch --multi_gpu --num_processes 4 -m training train --data ... --out runs/mine

or ``torchrun --nproc-per-node 4 -m training train ...``; without a launcher there is one process and nothing of this
is used.
"""

import os


def process_count() -> int:
    """Processes that train together, as their launcher (accelerate, torchrun) says; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process prints and writes; the others only help to train."""
    return process_count() == 1 or int(os.environ.get("RANK", "0")) == 0
