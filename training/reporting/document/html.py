"""A report as one HTML file that needs nothing else: what it shows is embedded, nothing is loaded from anywhere.

Everything that is not the template's own is escaped by Jinja; the page's policy forbids every script but its own.
"""

import base64
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from training.reporting.document.blocks import Section
from training.reporting.document.markdown import UNSEEN

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = 224
QUALITY = 82


def html(title: str, subtitle: str, sections: Sequence[Section], *, figures: Path) -> str:
    """The whole document.

    Args:
        title: its heading.
        subtitle: the line below.
        sections: in order.
        figures: folder with the files that the sections name.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_seen,
    )  # fmt: skip
    environment.filters["thumbnail"] = thumbnail
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        source=lambda name: embedded((figures / name).read_bytes(), "png"),
        size=lambda name: picture_size(figures / name),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def thumbnail(picture: Image.Image) -> str:
    """A small JPEG of an RGB picture, as a data URI."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    with io.BytesIO() as file:
        small.save(file, "JPEG", quality=QUALITY)
        return embedded(file.getvalue(), "jpeg")


def embedded(content: bytes, kind: str) -> str:
    """The content of a picture's file as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, so that a page keeps the place before it has decoded the picture."""
    with Image.open(path) as picture:
        return picture.size


def _seen(value: object) -> object:
    """Drop what cannot be seen, and what HTML does not allow, from other people's text."""
    return UNSEEN.sub("", value) if type(value) is str else value
