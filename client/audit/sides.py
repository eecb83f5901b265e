"""A catalogue scored three times: by picture and title together, and by each of them alone.

Each pass is a run of :func:`client.scoring.run.score_catalog` in a folder of its own, with all that one has: it can be
interrupted, it is bounded in memory, and any engine answers it.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from client.scoring.answers import Batch
from client.scoring.engines import Engine
from client.scoring.run import Say, score_catalog
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogRow, CatalogSource, RowError

PICTURE, TITLE, TOGETHER = SIDES = ("picture", "title", "together")


@dataclasses.dataclass(frozen=True)
class _HalfWorkspace(Workspace):
    """A workspace whose rows show one side of each product."""

    side: str = PICTURE

    def batches(self, chunks: Iterable[int], *, size: int) -> Iterator[Batch]:
        """As of a :class:`Workspace`."""
        for batch in super().batches(chunks, size=size):
            yield batch._replace(rows=[_half(row, self.side) for row in batch.rows])


class HalfEngine:
    """An engine that is asked about one side of each product.

    Args:
        engine: answers.
        side: ``picture`` or ``title``.
    """

    def __init__(self, engine: Engine, side: str) -> None:
        self.identity = {**engine.identity, "side": side}
        self.description = f"{engine.description}, by the {side} alone"
        self._engine, self._side = engine, side

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.Engine`."""
        half = _HalfWorkspace(workspace.folder, workspace.read, workspace.chunk_rows, self._side)
        return self._engine.score(half, files, chunks)


def score_sides(
    source: CatalogSource, out: Path, engine: Engine, *, top_k: int, say: Say = print, progress: bool = True
) -> dict[str, dict[str, Any]]:
    """Score a catalogue once a side, into the folders ``scores/SIDE``.

    Args:
        source: the catalogue.
        out: folder of the audit.
        engine: answers.
        top_k: what the engine was made with; the longer an answer, the more often the given label is on it.
        say: is told what happens.
        progress: show progress bars.

    Returns:
        By side the summary of its run.

    Raises:
        ClientError, CatalogError: as of :func:`score_catalog`; what was answered is kept.
    """
    engines = {side: engine if side == TOGETHER else HalfEngine(engine, side) for side in SIDES}
    return {
        side: score_catalog(source, out / "scores" / side, asked, top_k=top_k, say=say, progress=progress)
        for side, asked in engines.items()
    }


def _half(row: CatalogRow, side: str) -> CatalogRow:
    half = row._replace(text="") if side == PICTURE else row._replace(image="")
    if half.fault is None and not half.image and not half.text:
        return half._replace(fault=RowError("product_empty", f"it has no {side}"))
    return half
