"""Test products with what was said of them: a grid of answers, and the errors with the answer of every model."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps

from training.catalog.images import decode_picture
from training.catalog.reading import Catalog, CatalogError, CatalogSource, read_catalog
from training.reporting.figures.style import (
    FADED,
    INK,
    MARKS,
    MUTED,
    RIGHT,
    WRONG,
    drawing,
    fit_text,
    square_axes,
    write,
)
from training.scores.metrics import Classes

TILE = 320
COLUMNS = 5
CARD_COLUMNS = 2


class Shelf:
    """Titles and pictures of a catalogue, by product id.

    Args:
        source: where it lies.
    """

    def __init__(self, source: CatalogSource) -> None:
        self.gone = ""
        self._catalog: Catalog | None = None
        self._products: dict[str, tuple[str, str]] = {}
        try:
            self._catalog = read_catalog(source, check_images=False, max_rejected=1, progress=False)
        except CatalogError as error:
            self.gone = str(error).splitlines()[0]
            return
        table = self._catalog.products
        self._products = dict(zip(table["id"], zip(table["image"], table["text"], strict=True), strict=True))

    def title(self, product: str) -> str:
        """The title, "" where there is none."""
        return self._products.get(product, ("", ""))[1]

    def picture(self, product: str) -> Image.Image | None:
        """The picture as the models decode it, None where there is none or it cannot be read any more."""
        name = self._products.get(product, ("", ""))[0]
        if not name or self._catalog is None:
            return None
        try:
            return decode_picture(self._catalog.image_bytes(name), name=name)
        except CatalogError:
            return None


class Answer(NamedTuple):
    """What one model said of a product.

    Args:
        model: its name.
        label: the class it chose.
        score: of that class, None where the model gives none.
        right: whether that is the truth; None where nobody knows.
    """

    model: str
    label: str
    score: float | None
    right: bool | None

    @property
    def mark(self) -> str:
        """What says without colour whether it is right; "" where nobody knows."""
        return "" if self.right is None else MARKS[self.right]

    @property
    def percent(self) -> str:
        """The score as it is read, "" for none; what is not quite certain is never rounded to certain."""
        if self.score is None:
            return ""
        return ">99 %" if self.score >= 0.995 else "<1 %" if self.score < 0.005 else f"{100 * self.score:.0f} %"


class Card(NamedTuple):
    """A product and what was said of it.

    Args:
        picture: RGB, or None.
        title: as in the catalogue, "" for none.
        truth: its class, "" where that is the question.
        answers: one or more.
    """

    picture: Image.Image | None
    title: str
    truth: str
    answers: Sequence[Answer]


def spread_over_classes(truth: Classes, *, count: int, seed: int) -> list[int]:
    """Draw rows of (N,) classes at random, no class again before every other one had its turn."""
    order = np.random.default_rng(seed).permutation(len(truth))
    turn = np.empty(len(truth), dtype=np.int64)
    seen: dict[int, int] = {}
    for row in order:
        turn[row] = seen[truth[row]] = seen.get(truth[row], -1) + 1
    return [int(row) for row in order[np.argsort(turn[order], kind="stable")][:count]]


def draw_predictions(path: Path, cards: Sequence[Card]) -> None:
    """A grid of products with title, class and first answer; right ones are framed green, wrong ones orange."""
    width, height, side = 1.95, 2.72, 1.8
    columns = min(COLUMNS, len(cards))
    rows = -(-len(cards) // columns)
    with drawing(path, width=columns * width + 0.1, height=rows * height + 0.05, layout=None) as figure:
        for number, card in enumerate(cards):
            left = 0.12 + number % columns * width
            top = rows * height - number // columns * height - side - 0.05
            colour = _colour(card.answers[0])
            _draw_picture(square_axes(figure, left=left, bottom=top, side=side), card.picture, colour=colour)
            line = functools.partial(write, figure, left=left, width=side)
            line(card.title or "no title", top=top - 0.06, size=8, lines=2)
            line(f"true: {card.truth}", top=top - 0.39, size=8, color=MUTED)
            said = _line(card.answers[0], width=side, size=8.5)
            line(said, top=top - 0.56, size=8.5, bold=True, color=colour)


def draw_errors(path: Path, cards: Sequence[Card]) -> None:
    """Products beside the answers of every model."""
    lines = max(len(card.answers) for card in cards)
    width, side = 5.1, 1.72
    height = max(side, 0.55 + 0.17 * lines) + 0.22
    rows = -(-len(cards) // CARD_COLUMNS)
    with drawing(path, width=CARD_COLUMNS * width, height=rows * height + 0.1, layout=None) as figure:
        for number, card in enumerate(cards):
            left = 0.12 + number % CARD_COLUMNS * width
            top = rows * height - number // CARD_COLUMNS * height
            _draw_picture(square_axes(figure, left=left, bottom=top - side, side=side), card.picture, colour=FADED)
            _write_answers(figure, card, left=left + side + 0.14, top=top, width=width - side - 0.4)


def draw_groups(path: Path, groups: Sequence[tuple[str, Sequence[Card]]]) -> None:
    """Products with their class and the first answer, a row under a heading."""
    width, height, side = 2.3, 2.42, 1.45
    columns = max(len(cards) for _, cards in groups)
    with drawing(path, width=columns * width, height=len(groups) * height, layout=None) as figure:
        for row, (heading, cards) in enumerate(groups):
            top = (len(groups) - row) * height - 0.05
            write(figure, heading, left=0.1, top=top, width=columns * width - 0.2, size=10, bold=True)
            for column, card in enumerate(cards):
                left, below = 0.1 + column * width, top - 0.3 - side
                colour = _colour(card.answers[0])
                _draw_picture(square_axes(figure, left=left, bottom=below, side=side), card.picture, colour=colour)
                line = functools.partial(write, figure, left=left, width=width - 0.15, size=8)
                line(card.title or "no title", top=below - 0.07)
                line(f"true: {card.truth}", top=below - 0.23, color=MUTED)
                line(_line(card.answers[0], width=width - 0.15, size=8), top=below - 0.39, color=colour)


def _write_answers(figure: Figure, card: Card, *, left: float, top: float, width: float) -> None:
    rows = write(figure, card.title or "no title", left=left, top=top, width=width, size=8.5, lines=2)
    top -= 0.16 * rows + 0.03
    if card.truth:
        write(figure, f"true: {card.truth}", left=left, top=top, width=width, size=8.5, bold=True)
        top -= 0.23
    for number, answer in enumerate(card.answers):
        place = top - 0.17 * number
        write(figure, answer.model, left=left, top=place, width=1.15, size=8, color=MUTED)
        line = _line(answer, width=width - 1.15, size=8)
        write(figure, line, left=left + 1.15, top=place, width=width - 1.15, size=8, color=_colour(answer))


def _line(answer: Answer, *, width: float, size: float) -> str:
    """Mark, label and score; of a label that is too long, the end is cut and not the score."""
    label = fit_text(answer.label, width=width - 0.75, size=size)
    return " ".join(part for part in (answer.mark, label, answer.percent) if part)


def _colour(answer: Answer) -> str:
    return {True: RIGHT, False: WRONG, None: INK}[answer.right]


def _draw_picture(axes: Axes, picture: Image.Image | None, *, colour: str) -> None:
    if picture is None:
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=MUTED, size=8)
    else:
        tile = ImageOps.pad(picture, (TILE, TILE), method=Image.Resampling.BICUBIC, color="white")
        axes.imshow(tile, extent=(0, 1, 0, 1))
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=colour, linewidth=2, clip_on=False))
