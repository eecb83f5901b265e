"""Damage to titles, as by people, importers and scrapers: words lost, the category's name left out, typos.

Most functions take a title and return a title. Random ones take a generator, see :func:`product_random`.
"""

import functools
import hashlib
import re
from collections.abc import Sequence

import numpy as np

# Rows of a QWERTY keyboard. A wrong key is a neighbour of the right one.
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: "".join(row[place - 1 : place] + row[place + 1 : place + 2])
    for row in _KEYBOARD
    for place, key in enumerate(row)
}
_RUN = re.compile(r"([^\W_]+)(?:['’]s\b)?")
_SIBILANTS = ("s", "x", "z", "ch", "sh", "o")
_LONGEST_WINDOW = 3
# Words of a label that do not name the category.
_FUNCTION_WORDS = frozenset({"and", "for", "in", "of", "or", "the", "with"})


def product_random(seed: int, product: str, purpose: str) -> np.random.Generator:
    """A generator that depends only on the seed, the product's id and the purpose, not on the order of products."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{product}".encode(errors="surrogatepass")).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def mask_words(title: str, share: float, random: np.random.Generator) -> str:
    """Remove a share of a title's words. At least one word stays.

    Of n words, ``share * n`` are removed, rounded up or down at random so that the mean is exact.

    Args:
        title: words separated by white space.
        share: 0 to 1. With equal generators, a larger share removes the same words and more.
    """
    words = title.split()
    if len(words) < 2:
        return title
    count = min(int(share * len(words) + random.random()), len(words) - 1)
    masked = set(random.permutation(len(words))[:count].tolist())
    return " ".join(word for place, word in enumerate(words) if place not in masked)


def mistype(title: str, share: float, random: np.random.Generator) -> str:
    """Put typos into a share of a title's letters and digits.

    A typo is, with equal chance, a neighbouring key, a missing character, a doubled one, or one swapped with the next
    (Damerau 1964: four such errors are more than 80 % of all spelling errors). Spaces and signs stay.

    Args:
        title: of any length.
        share: share of the letters and digits, 0 to 1, rounded up or down at random so that the mean is exact.
    """
    places = [place for place, sign in enumerate(title) if sign.isalnum()]
    count = int(share * len(places) + random.random())
    signs = list(title)
    for number in sorted(random.permutation(len(places))[:count].tolist(), reverse=True):
        # From the end, so that the earlier places do not move.
        place = places[number]
        kind = int(random.integers(4))
        if kind == 0:
            signs[place] = _wrong_key(signs[place], random)
        elif kind == 1:
            del signs[place]
        elif kind == 2:
            signs.insert(place, signs[place])
        else:
            signs[place : place + 2] = signs[place : place + 2][::-1]
    return " ".join("".join(signs).split())


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


def _wrong_key(sign: str, random: np.random.Generator) -> str:
    """A neighbour on the keyboard in the same case, or a random digit for a digit."""
    if sign.isdecimal():
        return str(random.integers(10))
    beside = _NEIGHBOURS.get(sign.lower(), "e")
    wrong = beside[int(random.integers(len(beside)))]
    return wrong.upper() if sign.isupper() else wrong


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
