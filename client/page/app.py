"""The layout of the page: its tabs, and the state of the server above them."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from client.api.inference import Product
from client.page.catalog_tab import catalog_tab
from client.page.errors import result_or_problem
from client.page.product.explained_answers import PageServer
from client.page.product_tab import NOBODY, product_tab
from client.page.rendering import choices_html
from client.page.review.desk import ReviewDesk
from client.page.review_tab import review_tab

TITLE = "Product classifier"
STYLES = [Path(__file__).parent / "templates" / name for name in ("page.css", "review.css")]
LOOK_AGAIN = 10.0
"""Seconds until the page looks at the server again."""


def build_page(server: PageServer, examples: list[Product], desk: ReviewDesk, *, folder: Path) -> Any:
    """The page as Gradio's blocks.

    Args:
        server: server that answers.
        examples: example products.
        desk: the review of a scored catalogue.
        folder: folder for results and converted pictures while the page runs.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        with gr.Row(elem_id="top"):
            gr.HTML(f"<h1>{TITLE}</h1><p>Classify a product by its picture, its title, or both.</p>")
            state = gr.HTML(elem_id="state")
        # Scripts announce an answer here; Python never changes it, or a screen reader would lose the place.
        gr.HTML('<p id="said" class="unseen" role="status" aria-live="polite"></p>')
        with gr.Tabs() as tabs:
            with gr.Tab("One product", id="product"):
                boxes = product_tab(server, examples, desk.corrections, folder=folder)
            with gr.Tab("A whole catalogue", id="catalogue"):
                scored = catalog_tab(server, desk, folder=Path(tempfile.mkdtemp(dir=folder)))
            with gr.Tab("Review", id="review"):
                review = review_tab(server, desk)
        boxes.append(scored.model)
        seen = gr.State("")
        look: dict[str, Any] = {"outputs": [state, seen, *boxes], "show_progress": "hidden"}
        page.load(partial(_look, server), inputs=[gr.State(""), *boxes], **look)
        gr.Timer(LOOK_AGAIN).tick(partial(_look, server), inputs=[seen, *boxes], **look)
        page.load(review.shown, outputs=review.card, show_progress="hidden")
        scored.done.then(review.shown, outputs=review.card, show_progress="hidden")
        scored.go.click(lambda: gr.Tabs(selected="review"), outputs=tabs, show_progress="hidden")
    return page


def _look(server: PageServer, seen: str, *chosen: str | None) -> tuple[Any, ...]:
    """The server's state and versions; nothing if they are as before, so that no open list closes."""
    html, names = result_or_problem(
        lambda: (choices_html(server.choices()), [str(each) for each in server.choices()]),
        problem=lambda html: (html, []),
    )
    now = "\n".join([html, *names])
    if now == seen:
        return tuple(gr.skip() for _ in range(2 + len(chosen)))
    if not names:  # what was chosen may come back
        return (html, now, *(gr.skip() for _ in chosen))
    first, second, model = chosen
    return (
        html,
        now,
        gr.Dropdown(names, value=_still(first, names)),
        gr.Dropdown([NOBODY, *names], value=second if second in names else NOBODY),
        gr.Dropdown(names, value=_still(model, names)),
    )


def _still(chosen: str | None, names: list[str]) -> str:
    """The chosen version; if it is not served any more, the first one of its model, else the first one of all."""
    if chosen in names:
        return str(chosen)
    model = (chosen or "").rpartition(" ")[0]
    return next((each for each in names if model and each.rpartition(" ")[0] == model), names[0])
