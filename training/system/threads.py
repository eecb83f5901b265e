"""Do the same for many things in threads, with a progress bar: for work that reads files and decodes pictures."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, description: str, progress: bool = True
) -> list[Result]:
    """``[function(item) for item in items]``, in as many threads as there are processors.

    What fails, or Ctrl-C, ends it at once: what has not begun is never begun.

    Args:
        function: must be safe to call from several threads.
        items: what to call it with.
        description: in front of the progress bar.
        progress: show the bar, where there is a terminal.
    """
    pool = ThreadPoolExecutor()
    try:
        results = pool.map(function, items)
        return list(tqdm(results, total=len(items), desc=description, disable=None if progress else True))
    finally:
        pool.shutdown(cancel_futures=True)
