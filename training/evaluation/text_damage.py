"""Titles made worse, as people, importers and scrapers make them: words lost, the category's name left out, typos.

Every function takes one title and gives one title; what is random draws from the generator that is handed in, see
:func:`product_random`.
"""

import functools
import hashlib
import re
from collections.abc import Sequence

import numpy as np

# Rows of the keyboard that most titles are typed on; a wrong key is one beside the right one.
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: "".join(row[place - 1 : place] + row[place + 1 : place + 2])
    for row in _KEYBOARD
    for place, key in enumerate(row)
}
_RUN = re.compile(r"([^\W_]+)(?:['’]s\b)?")
_SIBILANTS = ("s", "x", "z", "ch", "sh", "o")
_LONGEST_WINDOW = 3
# Words of a label that say nothing of the category.
_FUNCTION_WORDS = frozenset({"and", "for", "in", "of", "or", "the", "with"})


def product_random(seed: int, product: str, purpose: str) -> np.random.Generator:
    """A generator that depends on the seed, the product's id and the purpose alone, not on the order of products."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{product}".encode(errors="surrogatepass")).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def mask_words(title: str, share: float, random: np.random.Generator) -> str:
    """A title without a share of its words; one stays, so that a title with some words masked is still a title.

    Of n words ``share * n`` are left out, rounded up or down by chance so that the mean is exact.

    Args:
        title: words between white space.
        share: 0..1. With equal generators, a larger share leaves out the same words and more.
        random: draws which.
    """
    words = title.split()
    if len(words) < 2:
        return title
    count = min(int(share * len(words) + random.random()), len(words) - 1)
    masked = set(random.permutation(len(words))[:count].tolist())
    return " ".join(word for place, word in enumerate(words) if place not in masked)


def mistype(title: str, share: float, random: np.random.Generator) -> str:
    """A title with typos in a share of its letters and digits.

    A typo is, with equal chance: the key beside the right one, the character left out, typed twice, or swapped with the
    one behind it (Damerau 1964: four such slips are more than 80 % of all spelling errors). Spaces and signs stay.

    Args:
        title: of any length.
        share: of the letters and digits, 0..1, rounded up or down by chance so that the mean is exact.
        random: draws where and which.
    """
    places = [place for place, sign in enumerate(title) if sign.isalnum()]
    count = int(share * len(places) + random.random())
    signs = list(title)
    for number in sorted(random.permutation(len(places))[:count].tolist(), reverse=True):
        # From the end, so that the places in front of a typo stay what they are.
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
    """A title without the words of its own label, or "" where it has no others.

    A word of the title is the label's if it equals a word of the label, or the label written as one word, whatever the
    case, singular or plural, and whether it is written as one word, with a hyphen or as up to three words: for the
    label ``Tshirts`` go "Tshirt", "T-Shirts" and "T shirt", for ``Flip Flops`` "Flip-Flop" and "flipflops", for
    ``Casual Shoes`` also "Shoe" or "Casual" alone. Synonyms ("Tee", "Sneakers") and compounds ("Smartwatch") are
    other words and stay; so do "and", "of" and their like.

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
    """Each product gets the title of another one with another label, drawn from the seed and its own id.

    A product keeps its title where there is no other label. Who gets what does not depend on the order of the products.

    Args:
        ids: N ids, distinct.
        titles: N titles; an empty one is given to nobody and stays.
        labels: N labels.
        seed: of the draw.

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
    """A character beside this one on the keyboard, or a digit for a digit, in the same case."""
    if sign.isdecimal():
        return str(random.integers(10))
    beside = _NEIGHBOURS.get(sign.lower(), "e")
    wrong = beside[int(random.integers(len(beside)))]
    return wrong.upper() if sign.isupper() else wrong


@functools.lru_cache(maxsize=1024)
def _label_forms(label: str) -> frozenset[str]:
    """What a word of the title must share a form with to be one of the label's."""
    words = [run.casefold() for run in _RUN.findall(label)]
    targets = [word for word in words if word not in _FUNCTION_WORDS]
    return frozenset[str]().union(*map(_forms, [*targets, "".join(words)]))


def _window(runs: Sequence[re.Match[str]], start: int, own: frozenset[str]) -> range:
    """Places of the longest sequence of runs from ``start`` that together are one of the label's words.

    Signs that touch it go with it; it is empty where there is none.
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
    """A word as it is and in whatever could be its singular; two words are one if they share a form."""
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
