"""The tab that scores an uploaded catalogue and returns predictions, a review queue and errors."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from client.api.errors import ClientError
from client.page.catalog_columns import lacks_pictures, read_columns
from client.page.catalog_results import SHOWN_ROWS, first_rows, scores_folder
from client.page.errors import result_or_problem
from client.page.product.explained_answers import ModelChoice, PageServer
from client.page.product.foreign_pictures import ServableFiles
from client.page.rendering import ResultTable, no_pictures_html, summary_html
from client.page.review.desk import ReviewDesk
from client.page.review.opening import lay_out_queue
from client.scoring.engines import ScoringEngine
from client.scoring.outputs import CSV, FAILED, FILES, REVIEW
from client.scoring.remote import server_engine
from client.scoring.run import score_catalog
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogSource
from training.system.storage import link

TOP_K = 9
"""Classes for each product: the review has a key for each."""
_COLUMNS = {
    CSV: ("id", "text", "label", "score", "needs_review"),
    REVIEW: ("id", "text", "label", "score", "modalities"),
    FAILED: ("line", "id", "text", "reason", "detail"),
}
_NAMES = {CSV: "Predictions", REVIEW: "Review queue", FAILED: "Errors"}
_KINDS = [".csv", ".tsv", ".parquet", ".xlsx", ".jsonl", ".xml", ".gz", ".zip"]


class CatalogTab(NamedTuple):
    """What the page needs of the tab.

    Args:
        model: the box that lists versions.
        done: the event after a catalogue was scored.
        go: the button that leads to the review.
    """

    model: Any
    done: Any
    go: Any


class _Asked(NamedTuple):
    """What the user has chosen; "" for a column that the table does not have."""

    table: str | None
    image: str
    text: str
    id: str
    model: str | None


def catalog_tab(server: PageServer, desk: ReviewDesk, *, folder: Path) -> CatalogTab:
    """Lay out the tab.

    Args:
        server: server that answers.
        desk: gets the review queue.
        folder: folder for the results while the page runs.
    """
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            table = gr.File(
                label="Table, or a zip of it with its pictures", type="filepath", height=150, file_types=_KINDS,
                elem_id="table",
            )  # fmt: skip
            with gr.Row():
                image = _column_box("Picture's column", "no pictures", "image-column")
                text = _column_box("Title's column", "no titles", "text-column")
                id = _column_box("Id's column", "the line number", "id-column")
            model = gr.Dropdown([], label="Model", elem_id="scorer")
            start = gr.Button("Score", variant="primary", elem_id="score")
        with gr.Column(scale=5, min_width=320):
            summary = gr.HTML(summary_html(None), elem_id="summary")
            titles = gr.Button("Score the titles alone", visible=False, variant="primary", elem_id="titles-alone")
            go = gr.Button("Review them", visible=False, elem_id="go-review")
            files = gr.File(label="Files", visible=False, interactive=False, elem_id="files")
    boxes = [image, text, id]
    table.change(_columns, table, [*boxes, summary, titles, go, files], show_progress="hidden")
    run: dict[str, Any] = {"inputs": [table, *boxes, model], "outputs": [summary, titles, go, files]}
    limits: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "score", "show_progress_on": summary}
    score = _scoring(partial(_scored, server, desk, folder))
    started = start.click(score, **run, **limits)
    alone = titles.click(lambda: gr.Dropdown(value=""), outputs=image, show_progress="hidden").then(
        _scoring(partial(_scored, server, desk, folder)), **run, **limits
    )
    return CatalogTab(model, _After([started, alone]), go)


class _After:
    """Several events, as one to continue after."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = events

    def then(self, *arguments: Any, **options: Any) -> None:
        """As of Gradio's events."""
        for event in self._events:
            event.then(*arguments, **options)


def _column_box(label: str, none: str, name: str) -> Any:
    return gr.Dropdown([(none, "")], value="", label=label, min_width=140, elem_id=name)


def _columns(table: str | None) -> list[Any]:
    """The columns of an uploaded table, to choose from."""
    hidden = [gr.Button(visible=False), gr.Button(visible=False), gr.File(visible=False)]

    def read() -> list[Any]:
        if table is None:
            return [*_column_choices([], "", "", ""), summary_html(None), *hidden]
        found = read_columns(Path(table))
        boxes = _column_choices(found.names, found.image, found.text, found.id)
        return [*boxes, summary_html(None, columns=found.names), *hidden]

    return result_or_problem(read, problem=lambda html: [*_column_choices([], "", "", ""), html, *hidden])


def _column_choices(names: Sequence[str], image: str, text: str, id: str) -> list[Any]:
    # In the Kaggle layout the id names the picture, and the table has no column for it.
    by_id = [("by the id (images/ID.jpg)", image)] if image and image not in names else []
    return [
        gr.Dropdown([("no pictures", ""), *by_id, *((name, name) for name in names)], value=image),
        gr.Dropdown([("no titles", ""), *((name, name) for name in names)], value=text),
        gr.Dropdown([("the line number", ""), *((name, name) for name in names)], value=id),
    ]


def _scoring(scored: Callable[[_Asked, Any], list[Any]]) -> Callable[..., list[Any]]:
    """The action of a button that scores."""

    def score(  # noqa: PLR0917 - Gradio passes the boxes by position
        table: str | None,
        image: str | None,
        text: str | None,
        id: str | None,
        model: str | None,
        progress: Any = gr.Progress(),  # noqa: B008 - Gradio finds it by the default
    ) -> list[Any]:
        asked = _Asked(table, image or "", text or "", id or "", model)
        return result_or_problem(
            lambda: scored(asked, progress),
            problem=lambda html: [html, gr.Button(visible=False), gr.Button(visible=False), gr.File(visible=False)],
        )

    return score


class _PageEngine:
    """An engine that reports its progress to the page, and gets pictures that the server reads."""

    def __init__(self, engine: ScoringEngine, progress: Any) -> None:
        self.identity, self.description = engine.identity, engine.description
        self._engine, self._progress = engine, progress

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.ScoringEngine`."""
        done = 0
        for count in self._engine.score(workspace, ServableFiles(files), chunks):
            done += count
            self._progress((done, workspace.read), desc="scoring", unit="rows")
            yield count


def _scored(server: PageServer, desk: ReviewDesk, folder: Path, asked: _Asked, progress: Any) -> list[Any]:
    """Score the catalogue; returns the summary's HTML, the buttons for what comes next, and the files."""
    if asked.table is None:
        raise ClientError("no table was uploaded: choose a CSV, a Parquet file or a zip")
    source = CatalogSource(path=asked.table, image_column=asked.image, text_column=asked.text, id_column=asked.id)
    if asked.text and lacks_pictures(source):
        html = no_pictures_html(Path(asked.table).name, asked.image)
        return [html, gr.Button(visible=True), gr.Button(visible=False), gr.File(visible=False)]
    choice, note = server.standing(asked.model)
    with scores_folder(folder, Path(asked.table), asked=[*asked[1:4], str(choice)]) as out:
        model, version = choice
        found = server_engine(server.config, server.tokens, model=model, version=version, top_k=TOP_K)
        summary = score_catalog(
            source,
            out,
            _PageEngine(found, progress),
            top_k=TOP_K,
            log=lambda _: None,
            progress=False,
            shrink=False,  # the engine does, and converts too
        )
        tables = [
            ResultTable(_title(name, summary), columns, first_rows(out / name)) for name, columns in _COLUMNS.items()
        ]
        if summary["review"]:  # else the review under way stays
            catalog = _kept(Path(asked.table), folder.parent / "reviewed")
            lay_out_queue(server, desk, out / REVIEW, catalog=catalog, choice=ModelChoice(model, version))
    return [
        summary_html(summary, scorer=str(choice), tables=tables, note=note),
        gr.Button(visible=bool(asked.text and asked.image and _mostly_without_pictures(summary))),
        gr.Button(f"Review {summary['review']:,} products", visible=summary["review"] > 0, variant="primary"),
        gr.File([str(out / name) for name in FILES], visible=True),
    ]


def _kept(table: Path, folder: Path) -> Path:
    """A second name for an upload under review: Gradio removes its own after an hour or two."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    link(table, folder / table.name)
    return folder / table.name


def _mostly_without_pictures(summary: dict[str, Any]) -> bool:
    return bool(2 * summary["reasons"].get("image_missing", 0) > summary["read"])


def _title(name: str, summary: dict[str, Any]) -> str:
    count = summary[{CSV: "predicted", REVIEW: "review", FAILED: "errors"}[name]]
    return f"{_NAMES[name]}: {count:,}" + (f", the first {SHOWN_ROWS}" if count > SHOWN_ROWS else "")
