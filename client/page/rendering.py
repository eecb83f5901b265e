"""Renders the server's answers as HTML. Jinja escapes all text from users and from the server."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from client.api.inference import Image, Product
from client.page.product.api_examples import ApiExample
from client.page.product.explained_answers import ExplainedAnswer, ModelChoice
from client.page.product.pictures import overlay, thumbnail_uri
from client.page.review.desk import DeskView
from client.page.review.queue import REASONS
from handlers.product_serving.errors import ProductError

TEMPLATES = Path(__file__).parent / "templates"
_MODALITIES = {"image": "Picture", "text": "Title"}


class ResultTable(NamedTuple):
    """Rows of a result file, for the page.

    Args:
        title: heading of the table.
        columns: columns to show, in order.
        rows: cells by column.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]


def answers_html(
    answers: Sequence[ExplainedAnswer],
    image: bytes | None,
    *,
    notes: Sequence[str] = (),
    calls: Sequence[ApiExample] = (),
) -> str:
    """The answers to one product side by side.

    Args:
        answers: answers of one or two versions.
        image: the encoded picture; None without one.
        notes: sentences above the answers.
        calls: how the same is asked over the API.
    """
    labels = list(dict.fromkeys(each.prediction.label for each in answers))
    cards = [_card(each, image) for each in answers]
    agreed = labels if len(answers) > 1 else []
    return render("answers.html", cards=cards, agreed=agreed, notes=notes, calls=calls, reasons=REASONS)


def hint_html() -> str:
    """The hint that the page shows before the first answer."""
    return render("hint.html")


def examples_html(examples: Sequence[Product]) -> str:
    """Example products as buttons with distinct names, with their index in ``data-number``."""
    names = _distinct([each.text or "Picture only" for each in examples])
    shown = [
        {"name": name, "has_title": bool(each.text), "picture": _thumbnail(each.image)}
        for name, each in zip(names, examples, strict=True)
    ]
    return render("examples.html", examples=shown)


def choices_html(choices: Sequence[ModelChoice]) -> str:
    """The server's state: its first version and the number of others."""
    return render("state.html", choices=choices)


def summary_html(
    summary: Mapping[str, Any] | None,
    *,
    scorer: str = "",
    tables: Sequence[ResultTable] = (),
    note: str = "",
    columns: Sequence[str] = (),
) -> str:
    """The results of a catalogue.

    Args:
        summary: summary of :func:`client.scoring.run.score_catalog`; None before the first results.
        scorer: model and version that answered.
        tables: first rows of the result files.
        note: a sentence above the results.
        columns: columns of a table that waits to be scored.
    """
    return render("summary.html", summary=summary, scorer=scorer, tables=tables, note=note, columns=columns)


def no_pictures_html(table: str, column: str) -> str:
    """What to do about a table whose pictures are not in the upload.

    Args:
        table: name of the file.
        column: its column of pictures.
    """
    return render("no_pictures.html", table=table, column=column)


def desk_html(view: DeskView, *, problem: str = "") -> str:
    """The product to review, with what the keys do.

    Args:
        view: of the desk.
        problem: HTML of an error message about the last step; "" for none.
    """
    return render("review.html", view=view, problem=Markup(problem), reasons=REASONS)


def _card(explained: ExplainedAnswer, image: bytes | None) -> dict[str, Any]:
    answer, reasons = explained.prediction, explained.explanation
    rows = [(f"{_MODALITIES[name]} alone", alone) for name, alone in explained.alone.items()]
    return {
        "explained": explained,
        "answer": answer,
        "attributes": [{"name": name, **each} for name, each in answer.as_dict().get("attributes", {}).items()],
        "words": _words(reasons.text),
        "overlay": None if image is None else overlay(image, reasons.grid, fit=explained.fit),
        "shares": [(_MODALITIES[name], name, share) for name, share in reasons.modality.items()],
        "rows": [*rows, ("Together", answer)] if rows else [],
        "threshold": explained.threshold,
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that stand more than once."""
    times, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} ({seen[name]})" if times[name] > 1 else name)
    return numbered


def _thumbnail(image: Image | None) -> str | None:
    try:
        return None if image is None else thumbnail_uri(Path(str(image)).read_bytes())
    except (OSError, ProductError):
        return None  # the example still works: the server reports what is wrong with the picture


def _words(weights: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    largest = max((abs(weight) for _, weight in weights), default=0) or 1.0
    return [
        {"token": token, "weight": weight, "strength": round(abs(weight) / largest, 3), "against": weight < 0}
        for token, weight in weights
    ]


def render(template: str, **values: Any) -> str:
    """A template of this folder with its values."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    environment.filters["signed"] = lambda weight: f"{weight:+.1f}" if abs(weight) >= 0.05 else "0"
    environment.filters["spaced"] = _spaced
    return environment.get_template(template).render(**values)


def percent(share: float) -> str:
    """A share of 0..1 in percent; only exactly 0 and 1 become 0.0% and 100.0%."""
    if 0 < share < 0.0005 or 0.9995 <= share < 1:
        return "<0.1%" if share < 0.5 else ">99.9%"
    return f"{share:.1%}"


def _spaced(name: str) -> str:
    """``baseColour`` as "base colour"."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).replace("_", " ").strip()
