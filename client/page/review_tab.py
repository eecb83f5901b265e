"""The tab that goes through the review queue: one product at a time, by keys."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from client.api.errors import ClientError
from client.page.errors import problem_html, result_or_problem
from client.page.product.explained_answers import PageServer
from client.page.rendering import TEMPLATES, desk_html
from client.page.review.desk import ReviewDesk
from client.page.review.opening import lay_out_queue
from training.system.storage import StorageError


class ReviewTab(NamedTuple):
    """What the page needs of the tab.

    Args:
        card: the place of the product.
        shown: the HTML of what is on the desk now.
    """

    card: Any
    shown: Callable[[], str]


def review_tab(server: PageServer, desk: ReviewDesk) -> ReviewTab:
    """Lay out the tab.

    Args:
        server: knows the classes of a model.
        desk: the review.
    """
    keys = (TEMPLATES / "review.js").read_text(encoding="utf-8")
    card = gr.HTML(elem_id="review", js_on_load=keys)
    with gr.Accordion("Open the review.csv of a catalogue that was scored elsewhere", open=False, elem_id="open-queue"):
        with gr.Row():
            queue = gr.File(label="review.csv of `client score`", file_types=[".csv"], height=120, elem_id="queue")
            catalog = gr.File(label="Its catalogue, for the pictures (zip)", height=120, elem_id="queue-catalogue")
        start = gr.Button("Open", elem_id="queue-open")

    def step(event: gr.EventData) -> str:  # Gradio reads the annotation
        return result_or_problem(
            lambda: _stepped(desk, str(event.action), int(event.place), str(event.label)), problem=lambda html: html
        )

    # Without Gradio's queue, whose round trip takes three times as long.
    card.click(step, outputs=card, queue=False, show_progress="hidden", trigger_mode="multiple")
    shown = partial(_shown, desk)
    start.click(partial(_opened, server, desk), [queue, catalog], card, show_progress_on=card)
    return ReviewTab(card, shown)


def _shown(desk: ReviewDesk) -> str:
    return result_or_problem(lambda: desk_html(desk.view()), problem=lambda html: html)


def _stepped(desk: ReviewDesk, action: str, place: int, label: str) -> str:
    """What is shown after a step; after one that failed, the same product and the reason."""
    try:
        return desk_html(desk.act(action, place, label))
    except (ClientError, StorageError) as error:
        return desk_html(desk.view(), problem=problem_html(error))


def _opened(server: PageServer, desk: ReviewDesk, queue: str | None, catalog: str | None) -> str:
    def opened() -> str:
        if queue is None:
            raise ClientError("no queue was uploaded: choose the review.csv that `python -m client score` wrote")
        lay_out_queue(server, desk, Path(queue), catalog=None if catalog is None else Path(catalog))
        return desk_html(desk.view())

    return result_or_problem(opened, problem=lambda html: html)
