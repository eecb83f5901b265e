"""The tab that scores an uploaded catalogue and returns predictions, a review queue and errors."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from client.api.errors import ClientError
from client.page.catalog_results import SHOWN_ROWS, first_rows, scores_folder
from client.page.errors import result_or_problem
from client.page.explained_answers import PageServer
from client.page.rendering import ResultTable, summary_html
from client.scoring.engines import ScoringEngine
from client.scoring.outputs import CSV, FAILED, FILES, REVIEW
from client.scoring.remote import server_engine
from client.scoring.run import score_catalog
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogSource

_COLUMNS = {
    CSV: ("id", "text", "label", "score", "needs_review"),
    REVIEW: ("id", "text", "label", "score", "modalities"),
    FAILED: ("line", "id", "text", "reason", "detail"),
}
_NAMES = {CSV: "Predictions", REVIEW: "Review queue", FAILED: "Errors"}


def catalog_tab(server: PageServer, *, folder: Path) -> Any:
    """Lay out the tab; returns the box that lists versions.

    Args:
        server: server that answers.
        folder: folder for the results while the page runs.
    """
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            table = gr.File(
                label="Table, or a zip of it with its pictures", type="filepath", height=150,
                file_types=[".csv", ".tsv", ".parquet", ".xlsx", ".jsonl", ".xml", ".gz", ".zip"], elem_id="table",
            )  # fmt: skip
            with gr.Row():
                image = gr.Textbox("image", label="Picture's column", info="empty: titles only", min_width=120)
                text = gr.Textbox("text", label="Title's column", info="empty: pictures only", min_width=120)
            model = gr.Dropdown([], label="Model", elem_id="scorer")
            start = gr.Button("Score", variant="primary", elem_id="score")
        with gr.Column(scale=5, min_width=360):
            summary = gr.HTML(summary_html(None), elem_id="summary")
            files = gr.File(label="Files", visible=False, interactive=False, elem_id="files")

    def score(
        table: str | None,
        image: str,
        text: str,
        model: str | None,
        progress: Any = gr.Progress(),  # noqa: B008 - Gradio finds it by the default
    ) -> list[Any]:
        return result_or_problem(
            lambda: _scored(server, folder, progress, table=table, image=image.strip(), text=text.strip(), model=model),
            problem=lambda html: [html, gr.File(visible=False)],
        )

    start.click(score, [table, image, text, model], [summary, files], concurrency_limit=1, show_progress_on=summary)
    return model


class _EngineWithProgress:
    """An engine that reports its progress to the page."""

    def __init__(self, engine: ScoringEngine, progress: Any) -> None:
        self.identity, self.description = engine.identity, engine.description
        self._engine, self._progress = engine, progress

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.ScoringEngine`."""
        done = 0
        for count in self._engine.score(workspace, files, chunks):
            done += count
            self._progress((done, workspace.read), desc="scoring", unit="rows")
            yield count


def _scored(
    server: PageServer, folder: Path, progress: Any, *, table: str | None, image: str, text: str, model: str | None
) -> list[Any]:
    """Score the catalogue; returns the summary's HTML and the files."""
    if table is None:
        raise ClientError("no table was uploaded: choose a CSV, a Parquet file or a zip")
    choice = model or str(server.choices()[0])
    with scores_folder(folder, Path(table), asked=[image, text, choice]) as out:
        name, version = choice.rsplit(" ", 1)
        engine = _EngineWithProgress(server_engine(server.config, server.tokens, model=name, version=version), progress)
        source = CatalogSource(path=table, image_column=image, text_column=text)
        summary = score_catalog(source, out, engine, log=lambda _: None, progress=False)
        tables = [
            ResultTable(_title(name, summary), columns, first_rows(out / name)) for name, columns in _COLUMNS.items()
        ]
    files = gr.File([str(out / name) for name in FILES], visible=True)
    return [summary_html(summary, scorer=choice, tables=tables), files]


def _title(name: str, summary: dict[str, Any]) -> str:
    count = summary[{CSV: "predicted", REVIEW: "review", FAILED: "errors"}[name]]
    return f"{_NAMES[name]}: {count:,}" + (f", the first {SHOWN_ROWS}" if count > SHOWN_ROWS else "")
