"""The review queue of a scored catalogue: the products that a person should look at, in the order to do so."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from client.api.errors import ClientError
from training.catalog import unescape_formula

# The reasons for a review by urgency: a picture with the title of another product is an error of the catalogue.
REASONS = {"picture_and_title_disagree": "Picture and title disagree", "unsure": "The model is unsure"}
MOST_PRODUCTS = 5_000
MOST_CLASSES = 9
_COLUMNS = ("line", "id", "image", "text", "label", "score", "review", "top")


class QueuedProduct(NamedTuple):
    """A product of the queue.

    Args:
        line: in the catalogue.
        id: in the catalogue.
        image: path of its picture, relative to the catalogue's table; "" for none.
        text: its title; "" for none.
        score: of the best class, 0..1.
        reasons: keys of :data:`REASONS`.
        top: the best classes with their scores, best first, at most ``MOST_CLASSES``.
    """

    line: int
    id: str
    image: str
    text: str
    score: float
    reasons: tuple[str, ...]
    top: tuple[tuple[str, float], ...]


class ReviewQueue(NamedTuple):
    """Products in the order of their review.

    Args:
        products: each id once.
        note: what is left out, as a sentence; "" for nothing.
    """

    products: list[QueuedProduct]
    note: str


def read_queue(path: Path) -> ReviewQueue:
    """Read ``review.csv`` of ``python -m client score``: by reason, the most doubtful first.

    Raises:
        ClientError: the file cannot be read, or is no such file.
    """
    try:
        # pandas, since the csv module refuses cells above 131,072 characters, a limit of the whole process.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise ClientError(f"{path.name} cannot be read as review.csv of `client score` ({error})") from error
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise ClientError(
            f"{path.name} is no review.csv of `client score`: it has no column {', '.join(map(repr, missing))}"
        )
    return _ordered([_product(path, row) for row in table[list(_COLUMNS)].to_dict("records")])


def _product(path: Path, row: dict[Any, str]) -> QueuedProduct:
    try:
        top = tuple((str(each["label"]), float(each["score"])) for each in json.loads(row["top"]))
        line, score = int(row["line"]), float(row["score"])
    except (KeyError, TypeError, ValueError) as error:
        raise ClientError(
            f"{path.name}: the row of line {row['line']!r} was changed after `client score` had written it; score again"
        ) from error
    id, image, text = (unescape_formula(row[name]) for name in ("id", "image", "text"))
    return QueuedProduct(
        line, id, image, text, score, tuple(filter(None, row["review"].split("+"))), top[:MOST_CLASSES]
    )


def _ordered(products: list[QueuedProduct]) -> ReviewQueue:
    urgency = {reason: place for place, reason in enumerate(REASONS)}
    products.sort(
        key=lambda each: (min((urgency.get(name, len(REASONS)) for name in each.reasons), default=len(REASONS)),
                          each.score, each.line)
    )  # fmt: skip
    once = list({each.id: each for each in reversed(products)}.values())[::-1]
    notes = []
    if len(once) < len(products):
        notes.append(
            f"{len(products) - len(once):,} rows share an id with another one: a decision counts for all of them."
        )
    if len(once) > MOST_PRODUCTS:
        notes.append(f"The first {MOST_PRODUCTS:,} of {len(once):,} products; open the file again for the others.")
    return ReviewQueue(once[:MOST_PRODUCTS], " ".join(notes))
