"""The layout of the page, and the actions of its buttons."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from client.api.inference import Product
from client.page.catalog_tab import catalog_tab
from client.page.errors import result_or_problem
from client.page.explained_answers import ModelChoice, PageServer
from client.page.rendering import answers_html, choices_html, examples_html, hint_html

TITLE = "Product classifier"
STYLE = Path(__file__).parent / "templates" / "page.css"
NOBODY = "none"
CLICKS = 8
_PICK = """element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) trigger("click", {number: button.dataset.number});
});"""


def build_page(server: PageServer, examples: list[Product], *, folder: Path) -> Any:
    """The page as Gradio's blocks.

    Args:
        server: server that answers.
        examples: example products.
        folder: folder for catalogue results while the page runs.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        with gr.Row(elem_id="top"):
            gr.HTML(f"<h1>{TITLE}</h1><p>Classify a product by its picture, its title, or both.</p>")
            state = gr.HTML(elem_id="state")
        with gr.Tabs():
            with gr.Tab("One product", id="product"):
                refreshed = _product_tab(server, examples)
            with gr.Tab("A whole catalogue", id="catalogue"):
                model = catalog_tab(server, folder=Path(tempfile.mkdtemp(dir=folder)))
        page.load(partial(_found, server), outputs=[state, *refreshed, model], show_progress="hidden")
    return page


def _product_tab(server: PageServer, examples: list[Product]) -> list[Any]:
    """Lay out the tab; returns the two boxes that list versions."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320, elem_id="product"):
            image = gr.Image(
                type="filepath", image_mode=None, sources=["upload", "clipboard"], height=250, label="Picture",
                buttons=[], elem_id="picture", placeholder="Drop a picture here, or click to choose one",
            )  # fmt: skip
            # Without this, Gradio decodes the picture first and hides the server's error message.
            image.preprocess = lambda payload: payload and payload.path
            text = gr.Textbox(label="Title", placeholder="Puma Men Running Shoe", max_lines=2, elem_id="title")
            first = gr.Dropdown([], label="Model", elem_id="first")
            second = gr.Dropdown([NOBODY], value=NOBODY, label="Beside it", elem_id="second")
            with gr.Row():
                clear = gr.Button("Clear", variant="secondary", min_width=80, scale=1)
                ask = gr.Button("Classify", variant="primary", min_width=160, scale=3, elem_id="ask")
            strip = gr.HTML(examples_html(examples), elem_id="examples", visible=bool(examples), js_on_load=_PICK)
        with gr.Column(scale=5, min_width=360):
            answer = gr.HTML(hint_html(), elem_id="answer")
    inputs = [image, text, first, second]
    run: dict[str, Any] = {"fn": partial(_answer, server), "inputs": inputs, "outputs": answer}
    limits: dict[str, Any] = {"concurrency_limit": CLICKS, "concurrency_id": "ask", "show_progress_on": answer}
    gr.on([ask.click, text.submit, second.input, first.input], **run, **limits)
    strip.click(_picks(examples), outputs=[image, text], show_progress="hidden").then(**run, **limits)
    clear.click(lambda: (None, "", hint_html()), outputs=[image, text, answer], show_progress="hidden")
    return [first, second]


def _picks(examples: list[Product]) -> Callable[[Any], tuple[str | None, str]]:
    """A function that returns picture and title of the clicked example."""

    def pick(event: gr.EventData) -> tuple[str | None, str]:  # Gradio reads the annotation
        example = examples[int(event.number)]
        return (str(example.image) if example.image else None), example.text or ""

    return pick


def _found(server: PageServer) -> tuple[Any, ...]:
    """The server's state and versions, for a page that opens."""
    html, choices = result_or_problem(
        lambda: (choices_html(server.choices()), server.choices()), problem=lambda html: (html, [])
    )
    names = [str(choice) for choice in choices]
    value = names[0] if names else None
    return (
        html,
        gr.Dropdown(names, value=value),
        gr.Dropdown([NOBODY, *names], value=NOBODY),
        gr.Dropdown(names, value=value),
    )


def _answer(server: PageServer, image: str | None, text: str | None, first: str | None, second: str | None) -> str:
    """The HTML of the answers to one product."""

    def answer() -> str:
        content = Path(image).read_bytes() if image else None
        title = (text or "").strip() or None
        if content is None and title is None:
            return hint_html()
        wanted = [first or str(server.choices()[0]), second]
        choices = [ModelChoice(*name.rsplit(" ", 1)) for name in dict.fromkeys(wanted) if name and name != NOBODY]
        return answers_html(server.explain(choices, content, title), content)

    return result_or_problem(answer, problem=lambda html: html)
