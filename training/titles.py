"""Titles with words left out: what training shows beside the real ones, so that no single word has to be there."""

import numpy as np

MIN_SHARE, MAX_SHARE = 0.1, 0.7


def thin_title(title: str, random: np.random.Generator) -> str:
    """A title without some of its words, in their order.

    A share of :data:`MIN_SHARE` to :data:`MAX_SHARE` is drawn, and every word goes with that chance; one stays.
    """
    words = title.split()
    if len(words) < 2:
        return title
    kept = random.random(len(words)) >= random.uniform(MIN_SHARE, MAX_SHARE)
    kept[random.integers(len(words))] = True
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)
