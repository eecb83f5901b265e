"""Damage to single characters of a title: mistyped, lost, added, exchanged, misread.

``share`` is the share of the letters and digits that change, 0 to 1, rounded at random so that the mean is exact.
"""

from collections.abc import Callable

import numpy as np

from training.data.damage.draws import share_of

# Rows of a QWERTY keyboard. A wrong key is a neighbour of the right one.
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: "".join(row[place - 1 : place] + row[place + 1 : place + 2])
    for row in _KEYBOARD
    for place, key in enumerate(row)
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# What a scanner takes a printed letter for (Nartker et al. 2003 list such pairs for OCR).
_LOOKS_LIKE = {
    **{"a": "o", "b": "6", "c": "e", "d": "cl", "e": "c", "f": "t", "g": "9", "h": "b", "i": "1", "j": "i", "k": "lc"},
    **{"l": "1", "m": "rn", "n": "ri", "o": "0", "p": "q", "q": "g", "r": "n", "s": "5", "t": "f", "u": "v", "v": "u"},
    **{"w": "vv", "x": "z", "y": "v", "z": "2", "0": "O", "1": "l", "2": "Z", "5": "S", "6": "b", "8": "B", "9": "g"},
}
Change = Callable[[str, np.random.Generator], str]


def mistype(title: str, share: float, random: np.random.Generator) -> str:
    """Put typos into a title.

    A typo is, with equal chance, a neighbouring key, a missing character, a doubled one, or one swapped with the next
    (Damerau 1964: four such errors are more than 80 % of all spelling errors). Spaces and signs stay.
    """
    places = [place for place, sign in enumerate(title) if sign.isalnum()]
    count = share_of(len(places), share, random)
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


def lose_characters(title: str, share: float, random: np.random.Generator) -> str:
    """Remove characters."""
    return _changed(title, share, random, lambda sign, random: "")


def add_characters(title: str, share: float, random: np.random.Generator) -> str:
    """Put a random letter before characters."""
    return _changed(title, share, random, lambda sign, random: _letter(random) + sign)


def exchange_characters(title: str, share: float, random: np.random.Generator) -> str:
    """Replace characters by random letters."""
    return _changed(title, share, random, lambda sign, random: _letter(random))


def misread(title: str, share: float, random: np.random.Generator) -> str:
    """Replace characters by those that look alike, as text recognition does ("l" for "1", "rn" for "m")."""
    return _changed(title, share, random, lambda sign, random: _LOOKS_LIKE.get(sign.lower(), sign))


def _changed(title: str, share: float, random: np.random.Generator, change: Change) -> str:
    places = [place for place, sign in enumerate(title) if sign.isalnum()]
    signs = list(title)
    for number in random.permutation(len(places))[: share_of(len(places), share, random)].tolist():
        signs[places[number]] = change(signs[places[number]], random)
    return " ".join("".join(signs).split())


def _letter(random: np.random.Generator) -> str:
    return _LETTERS[int(random.integers(len(_LETTERS)))]


def _wrong_key(sign: str, random: np.random.Generator) -> str:
    """A neighbour on the keyboard in the same case, or a random digit for a digit."""
    if sign.isdecimal():
        return str(random.integers(10))
    beside = _NEIGHBOURS.get(sign.lower(), "e")
    wrong = beside[int(random.integers(len(beside)))]
    return wrong.upper() if sign.isupper() else wrong
