"""The tab that answers one product, with what decided, and takes the right class for a wrong answer."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from client.api.inference import Product
from client.page.errors import result_or_problem
from client.page.product.api_examples import api_examples
from client.page.product.explained_answers import PageServer
from client.page.product.foreign_pictures import ServablePicture, servable
from client.page.rendering import TEMPLATES, answers_html, examples_html, hint_html, render
from client.page.review.corrections import Corrections
from handlers.product_serving.errors import ProductError

NOBODY = "none"
CLICKS = 8
_PICK = """element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) trigger("click", {number: button.dataset.number});
});"""


def product_tab(
    server: PageServer, examples: Sequence[Product], corrections: Corrections, *, folder: Path
) -> list[Any]:
    """Lay out the tab; returns the two boxes that list versions.

    Args:
        server: server that answers.
        examples: example products.
        corrections: gets the right class of a wrong answer.
        folder: gets pictures that were converted to show them.
    """
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
        with gr.Column(scale=5, min_width=320):
            answer = gr.HTML(hint_html(), elem_id="answer", js_on_load=script("answer.js"))
            box, *correction = _correction(corrections)
    inputs, outputs = [image, text, first, second], [answer, box, *correction]
    own = {str(each.image) for each in examples if each.image}

    def ask_about(image: str | None, text: str | None, first: str | None, second: str | None) -> tuple[Any, ...]:
        return _answer(server, own, _Question(image, text, first, second))

    run: dict[str, Any] = {"fn": ask_about, "inputs": inputs, "outputs": outputs}
    limits: dict[str, Any] = {"concurrency_limit": CLICKS, "concurrency_id": "ask", "show_progress_on": answer}
    # A click while an answer is under way counts when it is there; by default Gradio would drop it.
    gr.on([ask.click, text.submit, second.input, first.input], **run, **limits, trigger_mode="always_last")
    image.upload(partial(_shown, folder), image, image, show_progress="hidden")
    strip.click(_picks(examples), outputs=[image, text], show_progress="hidden").then(**run, **limits)
    clear.click(
        lambda: (None, "", hint_html(), gr.Row(visible=False)),
        outputs=[image, text, answer, box],
        show_progress="hidden",
    )
    return [first, second]


def script(name: str) -> str:
    """The JavaScript of a part of the page."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _correction(corrections: Corrections) -> list[Any]:
    """Lay out the boxes for the right class; returns their row, the id, the class, and the place of the outcome."""
    with gr.Row(visible=False, elem_id="wrong", equal_height=False) as row:
        id = gr.Textbox(label="Product's id in the catalogue", min_width=140, elem_id="wrong-id", max_lines=1)
        label = gr.Dropdown(
            [], label="Wrong? It is …", allow_custom_value=True, min_width=180, elem_id="wrong-label", value=None
        )
        save = gr.Button("Save the correction", min_width=160, elem_id="wrong-save")
        outcome = gr.HTML(elem_id="wrong-outcome", min_height=0)

    def saved(id: str | None, label: str | None) -> str:
        def act() -> str:
            corrections.put(id or "", label or "")
            return render("saved.html", id=(id or "").strip(), label=label, file=corrections.path)

        return result_or_problem(act, problem=lambda html: html)

    gr.on([save.click, id.submit], saved, [id, label], outcome, show_progress="hidden")
    return [row, id, label, outcome]


def _picks(examples: Sequence[Product]) -> Callable[[Any], tuple[str | None, str]]:
    """A function that returns picture and title of the clicked example."""

    def pick(event: gr.EventData) -> tuple[str | None, str]:  # Gradio reads the annotation
        example = examples[int(event.number)]
        return (str(example.image) if example.image else None), example.text or ""

    return pick


def _shown(folder: Path, image: str | None) -> str | None:
    """An uploaded picture, converted if the browser may be unable to show it; a broken one stays as it is.

    It is never Gradio's "no change": that builds the box anew, and so loses its own ``preprocess``.
    """
    if image is None:
        return None
    content = Path(image).read_bytes()
    try:
        made = servable(content)
    except ProductError:
        return image  # the answer says what is wrong with it
    if made.content is content:
        return image
    target = folder / "converted" / Path(image).parent.name / f"{Path(image).stem}.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(made.content)
    return str(target)


class _Question(NamedTuple):
    """What the boxes hold; None for an empty one."""

    image: str | None
    text: str | None
    first: str | None
    second: str | None


def _answer(server: PageServer, own: set[str], question: _Question) -> tuple[Any, ...]:
    """The HTML of the answers to one product, and the boxes for its right class."""
    image, text, first, second = question

    def answer() -> tuple[Any, ...]:
        title = (text or "").strip() or None
        if image is None and title is None:
            return hint_html(), gr.Row(visible=False), gr.skip(), gr.skip(), ""
        picture = ServablePicture(b"") if image is None else servable(Path(image).read_bytes())
        content = None if image is None else picture.content
        choice, note = server.standing(first)
        others = [server.standing(second)] if second and second != NOBODY else []
        choices = list(dict.fromkeys([choice, *(each for each, _ in others)]))
        answers = server.explain(choices, content, title)
        file = None if image is None else Path(image).name
        calls = api_examples(server.config, choice, image=file, text=title, converted=bool(picture.note))
        html = answers_html(
            answers, content, notes=[*filter(None, [note, *(said for _, said in others), picture.note])], calls=calls
        )
        labels = server.labels(choice) or [entry.label for entry in answers[0].prediction.top]
        is_example = Path(image or "").name in {Path(each).name for each in own}
        id = "" if image is None or is_example else Path(image).stem
        return html, gr.Row(visible=True), id, gr.Dropdown(sorted(labels, key=str.casefold), value=None), ""

    return result_or_problem(answer, problem=lambda html: (html, gr.Row(visible=False), gr.skip(), gr.skip(), ""))
