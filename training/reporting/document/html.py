"""Write a report as one HTML file. All pictures are embedded; the page loads nothing.

Jinja escapes all text outside the template. The page's Content-Security-Policy allows its own script only.
"""

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from training.reporting.document.blocks import Section
from training.reporting.document.markdown import INVISIBLE

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS, STYLES = ("report.js", "finder.js"), ("report.css", "charts.css")
THUMBNAIL = 224
QUALITY = 82


def render_html(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    *,
    figures: Path,
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """The whole document.

    Args:
        figures: folder with the files that the sections name.
        lead, facts: as in :func:`training.reporting.document.markdown.render_markdown`.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_without_invisible,
    )  # fmt: skip
    environment.filters["thumbnail"] = thumbnail_uri
    environment.filters["json_script"] = json_script
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return environment.get_template("report.html").render(
        title=title,
        subtitle=subtitle,
        lead=lead,
        facts=facts,
        sections=sections,
        source=lambda name: data_uri((figures / name).read_bytes(), "png"),
        size=lambda name: picture_size(figures / name),
        style=Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES)),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def thumbnail_uri(picture: Image.Image) -> str:
    """A small JPEG of an RGB picture, as a data URI."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    with io.BytesIO() as file:
        small.save(file, "JPEG", quality=QUALITY)
        return data_uri(file.getvalue(), "jpeg")


def json_script(content: Mapping[str, Any]) -> Markup:
    """JSON for a script element, in which no text of a catalogue can end the element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def data_uri(content: bytes, kind: str) -> str:
    """The content of a picture's file as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels. With them a page reserves the space before it has decoded the picture."""
    with Image.open(path) as picture:
        return picture.size


def _without_invisible(value: object) -> object:
    """Remove control characters, some of which HTML forbids, from the catalogue's text."""
    return INVISIBLE.sub("", value) if type(value) is str else value
