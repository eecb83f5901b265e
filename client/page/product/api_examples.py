"""How the product on the screen is asked over the API: a curl line and a Python program, to copy."""

import shlex
from typing import NamedTuple
from urllib.parse import quote

from client.page.product.explained_answers import ModelChoice
from client.server.config import CONFIG, ServerConfig


class ApiExample(NamedTuple):
    """A request to copy.

    Args:
        name: of the language.
        code: the request.
    """

    name: str
    code: str


def api_examples(
    config: ServerConfig, choice: ModelChoice, *, image: str | None, text: str | None, converted: bool = False
) -> list[ApiExample]:
    """The same question with curl and in Python.

    Args:
        config: of the server.
        choice: the version that answers.
        image: file name of the picture; None without one.
        text: the title; None without one.
        converted: the page has changed the picture, since the server does not take it as it is.
    """
    note = "# the server takes JPEG, PNG and WebP of at most 25 megapixels: save the picture so first\n"
    start = "# in the project's folder, after: . deploy/activate.sh\n" + (note if converted and image else "")
    return [
        ApiExample("curl", start + _curl(config, choice, image, text)),
        ApiExample("Python", start + _python(config, choice, image, text)),
    ]


def _curl(config: ServerConfig, choice: ModelChoice, image: str | None, text: str | None) -> str:
    named = "" if config.path.resolve() == CONFIG.resolve() else f" --config {shlex.quote(str(config.path))}"
    url = "/".join([config.inference_url, "predictions", *(quote(part, safe="") for part in choice)])
    # --form-string takes a title that begins with @ or < as it is; -F would read a file.
    fields = [
        *([] if image is None else [f"-F {shlex.quote('image=@' + _form_name(image))}"]),
        *([] if text is None else [f"--form-string {shlex.quote(f'text={text}')}"]),
    ]
    header = '-H "Authorization: Bearer $KEY"'
    return f"KEY=$(python -m client{named} token)\n" + " \\\n  ".join([f"curl -s {header}", *fields, shlex.quote(url)])


def _form_name(image: str) -> str:
    """A file name as curl reads it: in quotes, if it has what separates curl's fields."""
    if not set(image) & set('",;'):
        return image
    escaped = image.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _python(config: ServerConfig, choice: ModelChoice, image: str | None, text: str | None) -> str:
    named = "" if config.path.resolve() == CONFIG.resolve() else repr(str(config.path))
    product = ", ".join([*([] if image is None else [repr(image)]), *([] if text is None else [f"text={text!r}"])])
    return (
        "from pathlib import Path\n\n"
        "from client.api.inference import ProductClient\n"
        "from client.server.config import read_config\n\n"
        + (f"config = read_config(Path({named}))\n" if named else "config = read_config()\n")
        + "with ProductClient(config.inference_url, tokens=config.tokens()) as client:\n"
        f"    answer = client.predict({product}, model={choice.model!r}, version={choice.version!r})\n"
        "print(answer.label, answer.score, answer.needs_review)\n"
    )
