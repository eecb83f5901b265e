"""Damage to the words of a title: lost, added, joined, split, shortened, out of order."""

from collections.abc import Sequence

import numpy as np

from training.data.damage.draws import share_of

MIN_LEFT = 2  # characters of a word that is cut short


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
    count = min(share_of(len(words), share, random), len(words) - 1)
    masked = set(random.permutation(len(words))[:count].tolist())
    return " ".join(word for place, word in enumerate(words) if place not in masked)


def add_words(title: str, words: Sequence[str], random: np.random.Generator) -> str:
    """Put words at random places of a title; the order of its own words stays."""
    changed = title.split()
    for word in words:
        changed.insert(int(random.integers(len(changed) + 1)), word)
    return " ".join(changed)


def join_words(title: str, share: float, random: np.random.Generator) -> str:
    """Remove a share of the spaces."""
    words = title.split()
    gaps = random.permutation(np.arange(1, len(words)))[: share_of(max(0, len(words) - 1), share, random)]
    joined = set(gaps.tolist())
    return "".join(word if not place or place in joined else f" {word}" for place, word in enumerate(words))


def split_words(title: str, share: float, random: np.random.Generator) -> str:
    """Put a space into a share of the places within words."""
    cuts = [
        place
        for place in range(1, len(title))
        if not (title[place].isspace() or title[place - 1].isspace()) and random.random() < share
    ]
    return " ".join(title[start:stop].strip() for start, stop in zip([0, *cuts], [*cuts, len(title)], strict=True))


def shorten_words(title: str, share: float, random: np.random.Generator) -> str:
    """Cut a share of the words after a random number of characters, two at least."""
    words = title.split()
    for place in random.permutation(len(words))[: share_of(len(words), share, random)].tolist():
        if len(words[place]) > MIN_LEFT:
            words[place] = words[place][: int(random.integers(MIN_LEFT, len(words[place])))]
    return " ".join(words)


def reorder_words(title: str, random: np.random.Generator) -> str:
    """Put the words into a random order."""
    words = title.split()
    return " ".join(words[place] for place in random.permutation(len(words)).tolist())
