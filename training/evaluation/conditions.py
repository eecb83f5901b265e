"""The conditions of the robustness test: a table, and the damage that each does to titles and pictures."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from training.evaluation.picture_damage import add_noise, blur, compress, occlude
from training.evaluation.text_damage import drop_label_words, mask_words, mistype, product_random, swap_titles

CLEAN = "clean"
TitleDamage = Callable[[pd.DataFrame, int], list[str]]
PictureDamage = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclasses.dataclass(frozen=True)
class Condition:
    """One way to damage products.

    Args:
        kind: kind of damage; conditions of one kind differ in strength.
        tick: the strength, short; "" if the kind has only one.
        title: key of ``TITLE_DAMAGE``, or "".
        picture: key of ``PICTURE_DAMAGE``, or "".
        no_title: share of the products that lose their title; with ``no_picture`` at most 1.
        no_picture: share of the products that lose their picture. No product loses both.
    """

    kind: str
    tick: str = ""
    title: str = ""
    picture: str = ""
    no_title: float = 0.0
    no_picture: float = 0.0

    @property
    def name(self) -> str:
        """Kind and strength, unique."""
        return f"{self.kind}, {self.tick}" if self.tick and self.kind != CLEAN else self.kind


def _masked(share: float) -> TitleDamage:
    return lambda products, seed: [
        mask_words(title, share, product_random(seed, product, "mask"))
        for product, title in zip(products["id"], products["text"], strict=True)
    ]


def _mistyped(share: float) -> TitleDamage:
    return lambda products, seed: [
        mistype(title, share, product_random(seed, product, "type"))
        for product, title in zip(products["id"], products["text"], strict=True)
    ]


def _without_label(products: pd.DataFrame, seed: int) -> list[str]:
    return [drop_label_words(title, label) for title, label in zip(products["text"], products["label"], strict=True)]


def _swapped(products: pd.DataFrame, seed: int) -> list[str]:
    return swap_titles(products["id"].tolist(), products["text"].tolist(), products["label"].tolist(), seed=seed)


TITLE_DAMAGE: dict[str, TitleDamage] = {
    "masked 15 %": _masked(0.15),
    "masked 30 %": _masked(0.3),
    "masked 50 %": _masked(0.5),
    "without label": _without_label,
    "typos 10 %": _mistyped(0.1),
    "typos 20 %": _mistyped(0.2),
    "swapped": _swapped,
}

PICTURE_DAMAGE: dict[str, PictureDamage] = {
    "blur": lambda picture, random: blur(picture, 0.02),
    "noise": lambda picture, random: add_noise(picture, 0.1, random),
    "quality 30": lambda picture, random: compress(picture, 30),
    "quality 10": lambda picture, random: compress(picture, 10),
    "occluded 25 %": lambda picture, random: occlude(picture, 0.25, random),
    "occluded 50 %": lambda picture, random: occlude(picture, 0.5, random),
}

CONDITIONS = (
    Condition(CLEAN, "none"),
    Condition("title missing", "25 %", no_title=0.25),
    Condition("title missing", "50 %", no_title=0.5),
    Condition("title missing", "75 %", no_title=0.75),
    Condition("title missing", "100 %", no_title=1.0),
    Condition("picture missing", "25 %", no_picture=0.25),
    Condition("picture missing", "50 %", no_picture=0.5),
    Condition("picture missing", "75 %", no_picture=0.75),
    Condition("picture missing", "100 %", no_picture=1.0),
    Condition("words masked", "15 %", title="masked 15 %"),
    Condition("words masked", "30 %", title="masked 30 %"),
    Condition("words masked", "50 %", title="masked 50 %"),
    Condition("label's own words removed", title="without label"),
    Condition("characters mistyped", "10 %", title="typos 10 %"),
    Condition("characters mistyped", "20 %", title="typos 20 %"),
    Condition("title of another product", title="swapped"),
    Condition("picture blurred", picture="blur"),
    Condition("picture with noise", picture="noise"),
    Condition("JPEG quality", "30", picture="quality 30"),
    Condition("JPEG quality", "10", picture="quality 10"),
    Condition("picture occluded", "25 %", picture="occluded 25 %"),
    Condition("picture occluded", "50 %", picture="occluded 50 %"),
    Condition("picture or title missing", "25+25 %", no_title=0.25, no_picture=0.25),
    Condition("picture or title missing", "50+50 %", no_title=0.5, no_picture=0.5),
    Condition("words masked and occluded", "15+25 %", title="masked 15 %", picture="occluded 25 %"),
    Condition("words masked and occluded", "30+25 %", title="masked 30 %", picture="occluded 25 %"),
    Condition("words masked and occluded", "50+50 %", title="masked 50 %", picture="occluded 50 %"),
    Condition("no label words, JPEG quality 10", title="without label", picture="quality 10"),
)


def damaged_titles(key: str, products: pd.DataFrame, *, seed: int) -> list[str]:
    """The damaged titles of all products.

    A product without a picture keeps its title if the damage would empty or swap it.

    Args:
        key: key of ``TITLE_DAMAGE``.
        products: N rows with ``id``, ``image``, ``text`` and ``label``.
        seed: seed of the damage.
    """
    damaged = TITLE_DAMAGE[key](products, seed)
    return [
        own if not image and (not title.strip() or key == "swapped") else title
        for title, own, image in zip(damaged, products["text"], products["image"], strict=True)
    ]


def hidden_modalities(condition: Condition, products: pd.DataFrame, *, seed: int) -> NDArray[np.bool_]:
    """The modalities that a condition removes: (N, 2) bool, picture and title.

    A product with only a picture or only a title keeps it. The seed and the ids put the other products in an order. The
    first ones lose their title, the last ones their picture. So a larger share removes the same titles and more.

    Args:
        condition: gives the shares.
        products: N rows with ``id``, ``image`` and ``text``.
        seed: seed of the order.
    """
    has_both = np.flatnonzero((products["image"] != "") & (products["text"] != ""))
    ids = products["id"].to_numpy(dtype=object)[has_both]
    row = has_both[np.argsort([product_random(seed, product, "missing").random() for product in ids])]
    titles = round(condition.no_title * len(row))
    pictures = min(round(condition.no_picture * len(row)), len(row) - titles)
    hidden = np.zeros((len(products), 2), dtype=bool)
    hidden[row[len(row) - pictures :], 0] = True
    hidden[row[:titles], 1] = True
    return hidden
