"""Titles that do not name their product's category: the label's words left out, or another product's title."""

import functools
import re
from collections.abc import Sequence

import numpy as np

from training.data.damage.draws import product_random

_RUN = re.compile(r"([^\W_]+)(?:['’]s\b)?")
_SIBILANTS = ("s", "x", "z", "ch", "sh", "o")
_LONGEST_WINDOW = 3
# Words of a label that do not name the category.
_FUNCTION_WORDS = frozenset({"and", "for", "in", "of", "or", "the", "with"})


def drop_label_words(title: str, label: str) -> str:
    """Remove the words of a product's label from its title. The result is "" if the title has no other words.

    A word goes if it equals a word of the label, or the whole label written as one word. Case, singular and plural do
    not matter. The word may have a hyphen or be split into up to three words. Examples: the label ``Tshirts`` removes
    "Tshirt", "T-Shirts" and "T shirt"; ``Flip Flops`` removes "Flip-Flop" and "flipflops"; ``Casual Shoes`` also
    removes "Shoe" or "Casual" alone. Synonyms ("Tee", "Sneakers"), compounds ("Smartwatch") and function words ("and",
    "of") stay.

    Args:
        title: of any length.
        label: the product's true label.
    """
    own = _label_forms(label)
    runs = list(_RUN.finditer(title))
    kept = list(title)
    for start in range(len(runs)):
        for place in _window(runs, start, own):
            kept[place] = " "
    left = "".join(kept)
    return title if left == title else " ".join(left.split())


def swap_titles(ids: Sequence[str], titles: Sequence[str], labels: Sequence[str], *, seed: int) -> list[str]:
    """Give each product the title of a random product with another label.

    The seed and the product's id decide the draw; the order of the products does not matter. If all labels are equal,
    the titles stay.

    Args:
        ids: N ids, distinct.
        titles: N titles; empty titles stay, and no product gets one.
        labels: N labels.

    Returns:
        N titles.
    """
    donors = sorted((product, title, label) for product, title, label in zip(ids, titles, labels, strict=True) if title)
    if len({label for _, _, label in donors}) < 2:
        return list(titles)
    return [
        _other_title(donors, label, product_random(seed, product, "swap")) if title else ""
        for product, title, label in zip(ids, titles, labels, strict=True)
    ]


def _other_title(donors: Sequence[tuple[str, str, str]], label: str, random: np.random.Generator) -> str:
    while True:
        _, title, other = donors[int(random.integers(len(donors)))]
        if other != label:
            return title


@functools.lru_cache(maxsize=1024)
def _label_forms(label: str) -> frozenset[str]:
    """The forms of a label's words. A title's word that shares a form with them is one of the label's words."""
    words = [run.casefold() for run in _RUN.findall(label)]
    targets = [word for word in words if word not in _FUNCTION_WORDS]
    return frozenset[str]().union(*map(_forms, [*targets, "".join(words)]))


def _window(runs: Sequence[re.Match[str]], start: int, own: frozenset[str]) -> range:
    """Places of the longest sequence of runs from ``start`` that together form one of the label's words.

    Signs that touch the sequence are part of it. The range is empty if there is no such sequence.
    """
    for window in (runs[start : start + count] for count in range(_LONGEST_WINDOW, 0, -1)):
        if _forms("".join(run[1].casefold() for run in window)) & own:
            title, begin, end = window[0].string, window[0].start(), window[-1].end()
            while begin > 0 and not (title[begin - 1].isalnum() or title[begin - 1].isspace()):
                begin -= 1
            while end < len(title) and not (title[end].isalnum() or title[end].isspace()):
                end += 1
            return range(begin, end)
    return range(0)


@functools.lru_cache(maxsize=65536)
def _forms(word: str) -> frozenset[str]:
    """A word and its possible singular forms. Two words count as equal if they share a form."""
    forms = {word}
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        forms.add(word[:-1])
    if word.endswith("es") and word[:-2].endswith(_SIBILANTS):
        forms.add(word[:-2])
    if word.endswith("ies"):
        forms.add(f"{word[:-3]}y")
    if word.endswith("ves"):
        forms |= {f"{word[:-3]}f", f"{word[:-3]}fe"}
    if word.endswith("men"):
        forms.add(f"{word[:-3]}man")
    return frozenset(forms)
