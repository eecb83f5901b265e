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

# Both together counts as one more here: it is answered, and may be contradicted, like each of the two.
PICTURE, TITLE, TOGETHER = MODALITIES = ("picture", "title", "together")


@dataclasses.dataclass(frozen=True)
class _ModalityWorkspace(Workspace):
    """A workspace whose rows show one modality of each product."""

    modality: str = PICTURE

    def batches(self, chunks: Iterable[int], *, size: int) -> Iterator[Batch]:
        """As of a :class:`Workspace`."""
        for batch in super().batches(chunks, size=size):
            yield batch._replace(rows=[_only(row, self.modality) for row in batch.rows])


class ModalityEngine:
    """An engine that is asked about one modality of each product.

    Args:
        engine: answers.
        modality: ``picture`` or ``title``.
    """

    def __init__(self, engine: Engine, modality: str) -> None:
        self.identity = {**engine.identity, "modality": modality}
        self.description = f"{engine.description}, by the {modality} alone"
        self._engine, self._modality = engine, modality

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.Engine`."""
        shown = _ModalityWorkspace(workspace.folder, workspace.read, workspace.chunk_rows, self._modality)
        return self._engine.score(shown, files, chunks)


def score_modalities(
    source: CatalogSource,
    out: Path,
    engine: Engine,
    *,
    top_k: int,
    say: Say = print,
    progress: bool = True,
    replace: bool = False,
) -> dict[str, dict[str, Any]]:
    """Score a catalogue by each of :data:`MODALITIES`, into the folders ``scores/picture`` and so on.

    Args:
        source: the catalogue.
        out: folder of the audit.
        engine: answers.
        top_k: what the engine was made with; the longer an answer, the more often the given label is on it.
        say: is told what happens.
        progress: show progress bars.
        replace: start anew, whatever the folders hold.

    Returns:
        The summary of each run.

    Raises:
        ClientError, CatalogError: as of :func:`score_catalog`; what was answered is kept.
    """
    engines = {each: engine if each == TOGETHER else ModalityEngine(engine, each) for each in MODALITIES}
    return {
        each: score_catalog(
            source, out / "scores" / each, asked, top_k=top_k, say=say, progress=progress, replace=replace
        )
        for each, asked in engines.items()
    }


def _only(row: CatalogRow, modality: str) -> CatalogRow:
    shown = row._replace(text="") if modality == PICTURE else row._replace(image="")
    if shown.fault is None and not shown.image and not shown.text:
        return shown._replace(fault=RowError("product_empty", f"it has no {modality}"))
    return shown
