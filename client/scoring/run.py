"""Classifies a catalogue and writes the results; an interrupted run continues where it stopped."""

import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from client.api.log import Log
from client.scoring.engines import ScoringEngine
from client.scoring.output_folder import LOCK, clear_output_folder, prepare_output_folder
from client.scoring.outputs import FILES, SUMMARY, summary_text, write_outputs
from client.scoring.run_key import check_key
from client.scoring.several_pictures import FIRST
from client.scoring.shrinking import ShrinkingFiles
from client.scoring.workspace import (
    CHUNK_ROWS,
    PARTS,
    SCORES,
    Workspace,
    make_workspace,
    open_workspace,
    remove_workspace,
)
from training.catalog import CatalogFiles, CatalogSource, open_files
from training.system.storage import locked, read_json


def score_catalog(
    source: CatalogSource,
    out: Path,
    engine: ScoringEngine,
    *,
    top_k: int | None = None,
    log: Log = print,
    chunk_rows: int = CHUNK_ROWS,
    progress: bool = True,
    replace: bool = False,
    shrink: bool = True,
    pictures: str = FIRST,
) -> dict[str, Any]:
    """Classify every row of a catalogue.

    Args:
        source: the catalogue; its labels are not read.
        out: output folder.
        engine: engine that answers the rows.
        top_k: number of classes that the engine lists; part of the run's key.
        log: gets a line for each step.
        chunk_rows: rows in a chunk, the unit that is saved at once.
        progress: show progress bars.
        replace: remove earlier results in the folder and start anew.
        shrink: send pictures beyond the server's limits as smaller JPEGs; otherwise they are errors.
        pictures: ``first`` or ``mean``, what the engine answers a product with several pictures by; part of the key.

    Returns:
        The summary; see :func:`client.scoring.outputs.write_outputs`.

    Raises:
        ClientError: the engine cannot continue, or the folder contains other files; answers so far are kept.
        StorageError: another run uses the folder, or it cannot be written to.
        CatalogError: the catalogue cannot be read.
    """
    out = out.absolute()  # Ray's actors run in another folder
    files = _files(source, shrink=shrink)
    asked = {"top_k": top_k, "chunk_rows": chunk_rows, "pictures": pictures} | ({} if shrink else {"shrink": False})
    key = {"catalogue": files.fingerprint(), "columns": source.columns, **engine.identity, **asked}
    log(f"Scoring {source.path} with {engine.description} into {out}: {', '.join(FILES)}")
    prepare_output_folder(out)
    with locked(out / LOCK, taken=f"another run is using {out}; wait until it has ended"):
        if replace:
            clear_output_folder(out)
        summary: dict[str, Any] | None = read_json(out / SUMMARY)
        workspace = open_workspace(out / PARTS, key)
        if summary is not None:
            check_key(out, summary["key"], key, holds=SCORES)
            log(f"Already done: {summary_text(summary)}")
        else:
            workspace = workspace or make_workspace(
                out / PARTS, key, source=source, files=files, progress=progress, log=log
            )
            log(_answer_rows(workspace, engine, files, log=log, progress=progress))
            summary = write_outputs(out, workspace, key, progress=progress)
            log(summary_text(summary))
        remove_workspace(out / PARTS)
    return summary


def _files(source: CatalogSource, *, shrink: bool) -> CatalogFiles:
    files = open_files(source.path)
    return ShrinkingFiles(files) if shrink else files


def _answer_rows(workspace: Workspace, engine: ScoringEngine, files: CatalogFiles, *, log: Log, progress: bool) -> str:
    """Answer the chunks that have no part yet; returns the time and speed as text."""
    pending = workspace.pending()
    rows = workspace.rows_of(pending)
    done = workspace.read - rows
    log(
        f"{workspace.read:,} rows in {len(workspace.chunks):,} chunks"
        + (f", {done:,} already answered" if done else "")
    )
    began = time.monotonic()
    with tqdm(
        total=workspace.read, initial=done, desc="scoring", unit="row", disable=None if progress else True
    ) as shown:
        for count in engine.score(workspace, files, pending):
            shown.update(count)
    spent = time.monotonic() - began
    return f"{rows:,} rows answered in {spent:,.0f} s, {rows / spent if spent else 0:,.0f} rows/s"
