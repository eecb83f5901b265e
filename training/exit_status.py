"""Exit statuses of the commands. An error that the user can correct becomes one sentence."""

import sys
from collections.abc import Callable

from training.catalog.files import CatalogError
from training.models.encoders import WeightsError
from training.run.checkpoint import RunError
from training.run.option_table import OptionsError
from training.system.interrupts import Terminated, sigterm_like_ctrl_c
from training.system.storage import FORBIDDEN, FULL, StorageError

USER_ERRORS = (CatalogError, OptionsError, RunError, StorageError, WeightsError)
DONE, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143


def exit_status(command: Callable[[], None], *, resumable: bool) -> int:
    """Run a command and print its errors.

    Args:
        command: the function to call.
        resumable: the same command goes on where it stopped; messages then say so.

    Returns:
        0 for success, 1 for an error that the user can fix, 130 after Ctrl-C, 143 after SIGTERM.
    """
    how = "; the same command goes on where it stopped" if resumable else ""
    try:
        with sigterm_like_ctrl_c():
            command()
    except USER_ERRORS as error:
        return _print_error(FAILED, f"error: {error}")
    except OSError as error:
        if error.errno not in (*FULL, *FORBIDDEN):
            raise
        return _print_error(FAILED, f"error: {error}; make room, or choose a folder that can be written to{how}")
    except Terminated:
        return _print_error(TERMINATED, f"\nstopped by SIGTERM{how}")
    except KeyboardInterrupt:
        return _print_error(INTERRUPTED, f"\ninterrupted{how}")
    return DONE


def _print_error(status: int, message: str) -> int:
    print(message, file=sys.stderr)
    return status
