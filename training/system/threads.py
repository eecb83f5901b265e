"""Map a function over many items in threads, with a progress bar: for reading files and decoding pictures."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from handlers.product_serving.resources import usable_cores
from training.system.progress import progress as shown_progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, description: str, progress: bool = True
) -> list[Result]:
    """``[function(item) for item in items]``, computed in several threads.

    The first error, or Ctrl-C, cancels all calls that have not started.

    Args:
        function: must be thread-safe.
        description: text in front of the progress bar.
        progress: show it, as :func:`training.system.progress.progress` does.
    """
    pool = ThreadPoolExecutor(min(32, usable_cores() + 4))  # the default, but it counts the machine's cores
    try:
        results = pool.map(function, items)
        return list(shown_progress(results, total=len(items), description=description, leave=True, shown=progress))
    finally:
        pool.shutdown(cancel_futures=True)
