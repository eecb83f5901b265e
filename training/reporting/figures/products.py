"""Test products with the models' answers: a grid with one answer each, and cards with the answer of every model."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps

from training.catalog.files import decode_picture
from training.catalog.reading import Catalog, CatalogError, CatalogSource, read_catalog
from training.reporting.figures.style import (
    FADED,
    INK,
    MARKS,
    MUTED,
    RIGHT,
    WRONG,
    draw_text,
    drawing,
    fit_text,
    square_axes,
)
from training.scores.metrics import Classes

TILE = 320
COLUMNS = 5
CARD_COLUMNS = 2


class CatalogProducts:
    """Titles and pictures of a catalogue, by product id.

    ``unreadable`` is the reason why the catalogue cannot be read; "" if it can. Then no product has a title or picture.
    """

    def __init__(self, source: CatalogSource) -> None:
        self.unreadable = ""
        self._catalog: Catalog | None = None
        self._products: dict[str, tuple[str, str]] = {}
        try:
            self._catalog = read_catalog(source, check_images=False, max_rejected=1, progress=False)
        except CatalogError as error:
            self.unreadable = str(error).splitlines()[0]
            return
        table = self._catalog.products
        self._products = dict(zip(table["id"], zip(table["image"], table["text"], strict=True), strict=True))

    def title(self, product: str) -> str:
        """The title; "" for none."""
        return self._products.get(product, ("", ""))[1]

    def modalities(self, product: str) -> int:
        """1 for a picture, 2 for a title, 3 for both, 0 for an unknown product."""
        name, title = self._products.get(product, ("", ""))
        return bool(name) + 2 * bool(title)

    def picture(self, product: str) -> Image.Image | None:
        """The picture as the models decode it; None if the product has none or its file cannot be read."""
        name = self._products.get(product, ("", ""))[0]
        if not name or self._catalog is None:
            return None
        try:
            return decode_picture(self._catalog.image_bytes(name), name=name)
        except CatalogError:
            return None


class CardAnswer(NamedTuple):
    """A model's answer to a product, as a card shows it.

    Args:
        label: the class that it chose.
        score: probability of the class; None if the model gives none.
        right: True if the class is the true one; None if the true class is unknown.
    """

    model: str
    label: str
    score: float | None
    right: bool | None

    @property
    def mark(self) -> str:
        """A sign for right or wrong that needs no colour; "" if the true class is unknown."""
        return "" if self.right is None else MARKS[self.right]

    @property
    def percent(self) -> str:
        """The score in percent; "" for none. It never rounds to 0 or 100 %."""
        if self.score is None:
            return ""
        return ">99 %" if self.score >= 0.995 else "<1 %" if self.score < 0.005 else f"{100 * self.score:.0f} %"


class ProductCard(NamedTuple):
    """A product and the models' answers.

    Args:
        picture: RGB, or None.
        title: as in the catalogue; "" for none.
        truth: its class; "" where the report doubts it.
        answers: one or more.
    """

    picture: Image.Image | None
    title: str
    truth: str
    answers: Sequence[CardAnswer]


def sample_across_classes(truth: Classes, *, count: int, seed: int) -> list[int]:
    """Sample rows of (N,) classes at random; no class comes twice before every class has come once."""
    order = np.random.default_rng(seed).permutation(len(truth))
    turn = np.empty(len(truth), dtype=np.int64)
    seen: dict[int, int] = {}
    for row in order:
        turn[row] = seen[truth[row]] = seen.get(truth[row], -1) + 1
    return [int(row) for row in order[np.argsort(turn[order], kind="stable")][:count]]


def draw_predictions(path: Path, cards: Sequence[ProductCard]) -> None:
    """Draw a grid of products with title, class and first answer. Green frames are right answers, orange ones wrong."""
    width, height, side = 1.95, 2.72, 1.8
    columns = min(COLUMNS, len(cards))
    rows = -(-len(cards) // columns)
    with drawing(path, width=columns * width + 0.1, height=rows * height + 0.05, layout=None) as figure:
        for number, card in enumerate(cards):
            left = 0.12 + number % columns * width
            top = rows * height - number // columns * height - side - 0.05
            colour = _colour(card.answers[0])
            _draw_picture(square_axes(figure, left=left, bottom=top, side=side), card.picture, colour=colour)
            line = functools.partial(draw_text, figure, left=left, width=side)
            line(card.title or "no title", top=top - 0.06, size=8, lines=2)
            line(f"true: {card.truth}", top=top - 0.39, size=8, color=MUTED)
            answer = _answer_line(card.answers[0], width=side, size=8.5)
            line(answer, top=top - 0.56, size=8.5, bold=True, color=colour)


def draw_errors(path: Path, cards: Sequence[ProductCard]) -> None:
    """Draw products beside the answers of every model."""
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


def draw_groups(path: Path, groups: Sequence[tuple[str, Sequence[ProductCard]]]) -> None:
    """Draw products with class and first answer, a row for each heading."""
    width, height, side = 2.3, 2.42, 1.45
    columns = max(len(cards) for _, cards in groups)
    with drawing(path, width=columns * width, height=len(groups) * height, layout=None) as figure:
        for row, (heading, cards) in enumerate(groups):
            top = (len(groups) - row) * height - 0.05
            draw_text(figure, heading, left=0.1, top=top, width=columns * width - 0.2, size=10, bold=True)
            for column, card in enumerate(cards):
                left, below = 0.1 + column * width, top - 0.3 - side
                colour = _colour(card.answers[0])
                _draw_picture(square_axes(figure, left=left, bottom=below, side=side), card.picture, colour=colour)
                line = functools.partial(draw_text, figure, left=left, width=width - 0.15, size=8)
                line(card.title or "no title", top=below - 0.07)
                line(f"true: {card.truth}", top=below - 0.23, color=MUTED)
                answer = _answer_line(card.answers[0], width=width - 0.15, size=8)
                line(answer, top=below - 0.39, color=colour)


def _write_answers(figure: Figure, card: ProductCard, *, left: float, top: float, width: float) -> None:
    rows = draw_text(figure, card.title or "no title", left=left, top=top, width=width, size=8.5, lines=2)
    top -= 0.16 * rows + 0.03
    if card.truth:
        draw_text(figure, f"true: {card.truth}", left=left, top=top, width=width, size=8.5, bold=True)
        top -= 0.23
    for number, answer in enumerate(card.answers):
        place = top - 0.17 * number
        draw_text(figure, answer.model, left=left, top=place, width=1.15, size=8, color=MUTED)
        line = _answer_line(answer, width=width - 1.15, size=8)
        draw_text(figure, line, left=left + 1.15, top=place, width=width - 1.15, size=8, color=_colour(answer))


def _answer_line(answer: CardAnswer, *, width: float, size: float) -> str:
    """Mark, label and score. A long label is cut; the score stays."""
    label = fit_text(answer.label, width=width - 0.75, size=size)
    return " ".join(part for part in (answer.mark, label, answer.percent) if part)


def _colour(answer: CardAnswer) -> str:
    return {True: RIGHT, False: WRONG, None: INK}[answer.right]


def _draw_picture(axes: Axes, picture: Image.Image | None, *, colour: str) -> None:
    if picture is None:
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=MUTED, size=8)
    else:
        tile = ImageOps.pad(picture, (TILE, TILE), method=Image.Resampling.BICUBIC, color="white")
        axes.imshow(tile, extent=(0, 1, 0, 1))
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=colour, linewidth=2, clip_on=False))
