"""What answers a catalogue's rows: a server, the model in this process, or actors of Ray; and how it is kept busy."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol, TypeVar

from client.scoring.answers import Answer, Batch
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogRow

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Answers chunks of a catalogue.

    Attributes:
        identity: what tells its model from another one; part of a run's key.
        description: the model and who answers, for the person who waits.
    """

    identity: dict[str, str]
    description: str

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """Answer chunks and keep each as a part.

        Args:
            workspace: holds the chunks' rows.
            files: the pictures.
            chunks: which ones.

        Yields:
            How many more rows are answered.

        Raises:
            ClientError: it cannot go on; what has its part stays.
        """
        ...


def score_batches(workspace: Workspace, answered: Iterable[tuple[Batch, Sequence[Answer]]]) -> Iterator[int]:
    """Write a part whenever a chunk is complete.

    Args:
        workspace: where to.
        answered: batches in their order, with an answer a row.

    Yields:
        How many rows each batch had.
    """
    rows: list[CatalogRow] = []
    answers: list[Answer] = []
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
    """Items with ``function(item)``, in their order, computed in a pool.

    Args:
        pool: computes.
        function: what of.
        items: taken no faster than results are.
        ahead: how many items are taken before the first result is waited for; what bounds the memory.
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
