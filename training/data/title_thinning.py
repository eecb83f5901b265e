"""Titles with words left out: what training shows beside the real ones, so that no single word has to be there.

Most titles of a shop name the product's class, and an encoder that is shown nothing else learns little from the other
words. So half of the titles that are thinned lose the words that tell most, and half of them words at random.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MIN_SHARE, MAX_SHARE = 0.1, 0.7  # of the words that go at random
MOST_TELLING = 3  # words that go together, at most
SMOOTHING = 3  # titles of no class that every word is taken to have been in, so that a rare word tells little


@dataclasses.dataclass(frozen=True)
class TitleThinner:
    """Leaves out words of titles.

    Args:
        telling: how much a word tells, by its lower-case form: the share of the training titles with it that are of
            its most common class. Empty leaves out words at random alone.
    """

    telling: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __call__(self, title: str, random: np.random.Generator) -> str:
        """A title without some of its words, in their order; one at least stays.

        Either a share of :data:`MIN_SHARE` to :data:`MAX_SHARE` is drawn, and every word goes with that chance; or one
        to :data:`MOST_TELLING` words go, those that tell most.
        """
        words = title.split()
        if len(words) < 2:
            return title
        by_weight = self.telling and random.random() < 0.5
        kept = self._least_telling(words, random) if by_weight else _some(words, random)
        return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)

    def _least_telling(self, words: Sequence[str], random: np.random.Generator) -> NDArray[np.bool_]:
        told = np.array([self.telling.get(word.casefold(), 0.0) for word in words])
        gone = min(random.integers(1, MOST_TELLING + 1), len(words) - 1)
        kept = np.ones(len(words), dtype=bool)
        kept[np.argsort(-told, kind="stable")[:gone]] = False
        return kept


def learn_thinner(titles: Sequence[str], targets: Sequence[int]) -> TitleThinner:
    """Find out how much each word tells.

    Args:
        titles: N training titles.
        targets: N classes.
    """
    classes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for title, target in zip(titles, targets, strict=True):
        for word in set(title.casefold().split()):
            classes[word][target] += 1
    return TitleThinner({word: max(of.values()) / (of.total() + SMOOTHING) for word, of in classes.items()})


def _some(words: Sequence[str], random: np.random.Generator) -> NDArray[np.bool_]:
    kept = random.random(len(words)) >= random.uniform(MIN_SHARE, MAX_SHARE)
    kept[random.integers(len(words))] = True
    return np.asarray(kept)
