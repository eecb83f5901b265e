"""The damage that training learns from: each kind with a random strength, so that no single word or letter decides.

Most titles of a shop name the product's class. An encoder that sees only such titles learns little from the other
words, and WordPiece breaks a misspelled word into pieces that the encoder has never seen together.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from training.data.damage.characters import add_characters, exchange_characters, lose_characters, mistype
from training.data.damage.words import add_words, join_words, mask_words, reorder_words, shorten_words, split_words

MAX_INFORMATIVE = 3  # informative words that are left out of one title
SMOOTHING = 3  # added to each word's number of titles, so that a rare word counts as less informative
MAX_ADDED = 6  # words
SECOND_KIND = 0.25  # share of the damaged titles with two kinds of damage
Strength = tuple[float, float]
Damage = Callable[[str, float, np.random.Generator], str]

# Kind -> its relative frequency, its range of strengths, and the damage.
KINDS: dict[str, tuple[float, Strength, Damage]] = {
    "mistyped": (8, (0.05, 0.35), mistype),
    "characters lost": (2, (0.05, 0.35), lose_characters),
    "characters added": (2, (0.05, 0.35), add_characters),
    "characters exchanged": (2, (0.05, 0.35), exchange_characters),
    "words lost": (4, (0.1, 0.7), mask_words),
    "words joined": (2, (0.2, 1.0), join_words),
    "words split": (1, (0.05, 0.3), split_words),
    "words shortened": (1, (0.3, 1.0), shorten_words),
}
# The kinds that need more than a title and a strength.
INFORMATIVE_LOST, ADDED, REORDERED = 4, 2, 1


@dataclasses.dataclass(frozen=True)
class TitleDamager:
    """Damages titles for training.

    Args:
        class_shares: by the lower-case word: the share of its most common class among the training titles with that
            word, about 0..1. Empty: no informative words are left out.
        words: words of training titles, to be added to others. Empty: none are added.
    """

    class_shares: Mapping[str, float] = dataclasses.field(default_factory=dict)
    words: tuple[str, ...] = ()

    def __call__(self, title: str, random: np.random.Generator) -> str:
        """A damaged title, never empty. One kind of damage, or two."""
        if not title.strip():
            return title
        damaged = self._once(title, random)
        if random.random() < SECOND_KIND:
            damaged = self._once(damaged, random)
        return damaged if damaged.strip() else title

    def _once(self, title: str, random: np.random.Generator) -> str:
        shares = [share for share, _, _ in KINDS.values()]
        weights = np.array(
            [*shares, INFORMATIVE_LOST * bool(self.class_shares), ADDED * bool(self.words), REORDERED], dtype=float
        )
        kind = int(random.choice(len(weights), p=weights / weights.sum()))
        if kind < len(KINDS):
            _, (low, high), damage = list(KINDS.values())[kind]
            return damage(title, random.uniform(low, high), random)
        if kind == len(KINDS):
            return self._without_informative(title, random)
        if kind == len(KINDS) + 1:
            added = [
                self.words[place] for place in random.integers(len(self.words), size=random.integers(MAX_ADDED) + 1)
            ]
            return add_words(title, added, random)
        return reorder_words(title, random)

    def _without_informative(self, title: str, random: np.random.Generator) -> str:
        """Leave out the 1 to ``MAX_INFORMATIVE`` most informative words; at least one word stays."""
        words = title.split()
        if len(words) < 2:
            return title
        shares = np.array([self.class_shares.get(word.casefold(), 0.0) for word in words])
        lost = min(int(random.integers(1, MAX_INFORMATIVE + 1)), len(words) - 1)
        gone = set(np.argsort(-shares, kind="stable")[:lost].tolist())
        return " ".join(word for place, word in enumerate(words) if place not in gone)


def learn_damager(titles: Sequence[str], targets: Sequence[int]) -> TitleDamager:
    """Count in which classes each word of the training titles occurs.

    Args:
        titles: N training titles.
        targets: N classes.
    """
    classes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for title, target in zip(titles, targets, strict=True):
        for word in set(title.casefold().split()):
            classes[word][target] += 1
    shares = {word: max(of.values()) / (of.total() + SMOOTHING) for word, of in classes.items()}
    return TitleDamager(shares, tuple(sorted({word for title in titles for word in title.split()})))
