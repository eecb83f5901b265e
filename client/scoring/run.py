"""Score a catalogue from its first row to its last file; a run that was interrupted goes on where it stopped."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from client.scoring.engines import Engine
from client.scoring.output_folder import claim, clear, run_lock
from client.scoring.outputs import FILES, SUMMARY, summary_text, write_outputs
from client.scoring.run_key import check_key
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
from training.system.storage import read_json

Say = Callable[[str], None]


def score_catalog(
    source: CatalogSource,
    out: Path,
    engine: Engine,
    *,
    top_k: int | None = None,
    say: Say = print,
    chunk_rows: int = CHUNK_ROWS,
    progress: bool = True,
    replace: bool = False,
) -> dict[str, Any]:
    """Score every row of a catalogue.

    Args:
        source: the catalogue; no label is read.
        out: folder of the results.
        engine: answers the rows.
        top_k: what the engine was made with; another one is another run.
        say: is told what will happen and what came out.
        chunk_rows: rows that are kept together.
        progress: show progress bars.
        replace: remove what another run, or this one, has left in the folder, and start anew.

    Returns:
        The summary; see :func:`client.scoring.outputs.write_outputs`.

    Raises:
        ClientError: it cannot go on, or the folder is that of something else; what was answered is kept.
        StorageError: another run is at work there, or it cannot be written to.
        CatalogError: the catalogue cannot be used.
    """
    out = out.absolute()  # Ray's actors work in a folder of their own
    files = open_files(source.path)
    key = {
        "catalogue": files.fingerprint(),
        "columns": [source.image_column, source.text_column, source.id_column],
        **engine.identity,
        "top_k": top_k,
        "chunk_rows": chunk_rows,
    }
    say(f"Scores {source.path} with {engine.description} into {out}: {', '.join(FILES)}")
    claim(out)
    with run_lock(out):
        if replace:
            clear(out)
        return _score(source, out, engine, files=files, key=key, say=say, progress=progress)


def _score(
    source: CatalogSource,
    out: Path,
    engine: Engine,
    *,
    files: CatalogFiles,
    key: Mapping[str, Any],
    say: Say,
    progress: bool,
) -> dict[str, Any]:
    summary: dict[str, Any] | None = read_json(out / SUMMARY)
    workspace = open_workspace(out / PARTS, key)
    if summary is not None:
        check_key(out, summary["key"], key, holds=SCORES)
        say(f"That was done before: {summary_text(summary)}")
    else:
        workspace = workspace or make_workspace(out / PARTS, key, source=source, files=files, progress=progress)
        say(_answer_rows(workspace, engine, files, say=say, progress=progress))
        summary = write_outputs(out, workspace, key, progress=progress)
        say(summary_text(summary))
    remove_workspace(out / PARTS)
    return summary


def _answer_rows(workspace: Workspace, engine: Engine, files: CatalogFiles, *, say: Say, progress: bool) -> str:
    """Answer the chunks that have no part; says how long it took."""
    pending = workspace.pending()
    rows = workspace.rows_of(pending)
    done = workspace.read - rows
    say(
        f"{workspace.read:,} rows in {len(workspace.chunks):,} chunks" + (f", {done:,} answered before" if done else "")
    )
    began = time.monotonic()
    with tqdm(
        total=workspace.read, initial=done, desc="scoring", unit="row", disable=None if progress else True
    ) as shown:
        for count in engine.score(workspace, files, pending):
            shown.update(count)
    spent = time.monotonic() - began
    return f"{rows:,} rows answered in {spent:,.0f} s, {rows / spent if spent else 0:,.0f} rows/s"
