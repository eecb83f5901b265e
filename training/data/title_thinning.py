"""Thinned titles: training also shows titles with some words left out, so that a model does not depend on one word.

Most titles of a shop name the product's class. An encoder that sees only such titles learns little from the other
words. So half of the thinned titles lose their most informative words, the other half lose random words.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MIN_SHARE, MAX_SHARE = 0.1, 0.7  # of the words, when random ones are left out
MAX_INFORMATIVE = 3  # informative words that are left out of one title
SMOOTHING = 3  # added to each word's number of titles, so that a rare word counts as less informative


@dataclasses.dataclass(frozen=True)
class TitleThinner:
    """Leaves out words of titles.

    Args:
        class_shares: by the lower-case word: the share of its most common class among the training titles with that
            word, about 0..1. Empty: only random words are left out.
    """

    class_shares: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __call__(self, title: str, random: np.random.Generator) -> str:
        """A title without some of its words. The order stays, and at least one word.

        Either each word is left out with the same probability, drawn from :data:`MIN_SHARE` to :data:`MAX_SHARE`, or
        the 1 to :data:`MAX_INFORMATIVE` most informative words are left out.
        """
        words = title.split()
        if len(words) < 2:
            return title
        by_weight = self.class_shares and random.random() < 0.5
        kept = self._least_informative(words, random) if by_weight else _some(words, random)
        return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)

    def _least_informative(self, words: Sequence[str], random: np.random.Generator) -> NDArray[np.bool_]:
        shares = np.array([self.class_shares.get(word.casefold(), 0.0) for word in words])
        dropped = min(random.integers(1, MAX_INFORMATIVE + 1), len(words) - 1)
        kept = np.ones(len(words), dtype=bool)
        kept[np.argsort(-shares, kind="stable")[:dropped]] = False
        return kept


def learn_thinner(titles: Sequence[str], targets: Sequence[int]) -> TitleThinner:
    """Count in which classes each word occurs.

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
