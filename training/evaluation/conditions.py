"""The conditions of the robustness test: a table, and the damage that each does to titles and pictures."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.damage.characters import add_characters, exchange_characters, lose_characters, misread, mistype
from training.data.damage.draws import product_random
from training.data.damage.labels import drop_label_words, swap_titles
from training.data.damage.pictures import PictureDamage, add_noise, blur, compress, occlude
from training.data.damage.words import add_words, join_words, mask_words, reorder_words, shorten_words, split_words

CLEAN = "clean"
TitleDamage = Callable[[pd.DataFrame, int], list[str]]


class Condition(NamedTuple):
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


def _word_damage(damage: Callable[[str, float, np.random.Generator], str], share: float, purpose: str) -> TitleDamage:
    return lambda products, seed: [
        damage(title, share, product_random(seed, product, purpose))
        for product, title in zip(products["id"], products["text"], strict=True)
    ]


def _without_label(products: pd.DataFrame, seed: int) -> list[str]:
    return [drop_label_words(title, label) for title, label in zip(products["text"], products["label"], strict=True)]


def _swapped(products: pd.DataFrame, seed: int) -> list[str]:
    return swap_titles(products["id"].tolist(), products["text"].tolist(), products["label"].tolist(), seed=seed)


def _with_words_of_others(products: pd.DataFrame, seed: int) -> list[str]:
    """Add as many words as a title has, from the titles of other products."""
    words = sorted({word for title in products["text"] for word in title.split()})

    def changed(title: str, random: np.random.Generator) -> str:
        count = len(title.split())
        return add_words(title, [words[place] for place in random.integers(len(words), size=count)], random)

    return [
        changed(title, product_random(seed, product, "add"))
        for product, title in zip(products["id"], products["text"], strict=True)
    ]


TITLE_DAMAGE: dict[str, TitleDamage] = {
    "masked 15 %": _word_damage(mask_words, 0.15, "mask"),
    "masked 30 %": _word_damage(mask_words, 0.3, "mask"),
    "masked 50 %": _word_damage(mask_words, 0.5, "mask"),
    "without label": _without_label,
    "typos 10 %": _word_damage(mistype, 0.1, "type"),
    "typos 20 %": _word_damage(mistype, 0.2, "type"),
    "lost 20 %": _word_damage(lose_characters, 0.2, "lose"),
    "added 20 %": _word_damage(add_characters, 0.2, "insert"),
    "exchanged 20 %": _word_damage(exchange_characters, 0.2, "exchange"),
    "misread 20 %": _word_damage(misread, 0.2, "misread"),
    "joined": _word_damage(join_words, 1.0, "join"),
    "split": _word_damage(split_words, 0.2, "split"),
    "shortened": _word_damage(shorten_words, 1.0, "shorten"),
    "reordered": _word_damage(lambda title, share, random: reorder_words(title, random), 1.0, "reorder"),
    "words added": _with_words_of_others,
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
    Condition("characters lost", "20 %", title="lost 20 %"),
    Condition("characters added", "20 %", title="added 20 %"),
    Condition("characters exchanged", "20 %", title="exchanged 20 %"),
    Condition("characters misread (not in training)", "20 %", title="misread 20 %"),
    Condition("words joined", title="joined"),
    Condition("words split", title="split"),
    Condition("words shortened", title="shortened"),
    Condition("words reordered", title="reordered"),
    Condition("words of other products added", title="words added"),
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
        products: N rows with ``id``, ``image`` and ``text``.
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
