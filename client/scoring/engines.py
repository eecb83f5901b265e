"""The interface of the scoring engines (server, local, Ray), and the helpers that keep them busy."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol, TypeVar

from client.scoring.answers import RowAnswer, RowBatch
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogRow

Item = TypeVar("Item")
Result = TypeVar("Result")


class ScoringEngine(Protocol):
    """Answers chunks of a catalogue.

    Attributes:
        identity: identifies the model; part of a run's key.
        description: model and engine, for the user.
    """

    identity: dict[str, str]
    description: str

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """Answer chunks and write each as a part.

        Args:
            workspace: contains the rows of the chunks.
            files: the pictures.
            chunks: numbers of the chunks to answer.

        Yields:
            Number of rows answered since the last value.

        Raises:
            ClientError: the engine cannot continue; finished parts are kept.
        """
        ...


def write_parts(workspace: Workspace, answered: Iterable[tuple[RowBatch, Sequence[RowAnswer]]]) -> Iterator[int]:
    """Write a part whenever a chunk is complete.

    Args:
        workspace: gets the parts.
        answered: batches in order, with one answer for each row.

    Yields:
        Number of rows in each batch.
    """
    rows: list[CatalogRow] = []
    answers: list[RowAnswer] = []
    for batch, batch_answers in answered:
        rows += batch.rows
        answers += batch_answers
        if batch.last:
            workspace.write_part(batch.chunk, rows, answers)
            rows, answers = [], []
        yield len(batch.rows)


def ordered_map(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with ``function(item)``, in order, computed in a pool.

    Args:
        pool: runs the function.
        function: function of an item.
        items: the items, read only as fast as the caller takes the results.
        ahead: most items that are read ahead of the result; bounds the memory.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
