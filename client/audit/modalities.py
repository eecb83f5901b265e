"""Scores a catalogue three times: by the picture, by the title, and by both together.

Each time is a run of :func:`client.scoring.run.score_catalog` in its own folder. It can be interrupted, needs bounded
memory, and works with any engine.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from client.api.log import Log
from client.scoring.answers import RowBatch
from client.scoring.engines import ScoringEngine
from client.scoring.run import score_catalog
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogRow, CatalogSource, RowError

# The audit treats both together like a third modality: it has answers of its own.
PICTURE, TITLE, TOGETHER = MODALITIES = ("picture", "title", "together")


@dataclasses.dataclass(frozen=True)
class _ModalityWorkspace(Workspace):
    """A workspace whose rows contain one modality of each product."""

    modality: str = PICTURE

    def batches(self, chunks: Iterable[int], *, size: int) -> Iterator[RowBatch]:
        """See :meth:`client.scoring.workspace.Workspace.batches`."""
        for batch in super().batches(chunks, size=size):
            yield batch._replace(rows=[_only(row, self.modality) for row in batch.rows])


class ModalityEngine:
    """An engine that gets one modality of each product.

    Args:
        engine: engine that answers.
        modality: ``picture`` or ``title``.
    """

    def __init__(self, engine: ScoringEngine, modality: str) -> None:
        self.identity = {**engine.identity, "modality": modality}
        self.description = f"{engine.description}, {modality} only"
        self._engine, self._modality = engine, modality

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.ScoringEngine`."""
        reduced = _ModalityWorkspace(workspace.folder, workspace.read, workspace.chunk_rows, self._modality)
        return self._engine.score(reduced, files, chunks)


def score_modalities(
    source: CatalogSource,
    out: Path,
    engine: ScoringEngine,
    *,
    top_k: int,
    log: Log = print,
    progress: bool = True,
    replace: bool = False,
) -> dict[str, dict[str, Any]]:
    """Score a catalogue by each of :data:`MODALITIES` into the folders ``scores/picture`` and so on.

    Args:
        source: the catalogue.
        out: output folder of the audit.
        engine: engine that answers.
        top_k: number of classes that the engine lists; a longer list contains the given label more often.
        log: gets a line for each step.
        progress: show progress bars.
        replace: remove earlier results.

    Returns:
        The summary of each run by modality.

    Raises:
        ClientError, CatalogError: see :func:`score_catalog`; answers so far are kept.
    """
    engines = {each: engine if each == TOGETHER else ModalityEngine(engine, each) for each in MODALITIES}
    return {
        each: score_catalog(
            source, out / "scores" / each, asked, top_k=top_k, log=log, progress=progress, replace=replace
        )
        for each, asked in engines.items()
    }


def _only(row: CatalogRow, modality: str) -> CatalogRow:
    reduced = row._replace(text="") if modality == PICTURE else row._replace(image="")
    if reduced.fault is None and not reduced.image and not reduced.text:
        return reduced._replace(fault=RowError("product_empty", f"it has no {modality}"))
    return reduced
