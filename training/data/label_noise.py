"""Label noise for experiments: how much accuracy wrong labels cost, and how many of them an audit finds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def damage_labels(labels: Sequence[str], *, share: float, seed: int) -> NDArray[np.str_]:
    """Give some rows a wrong label, drawn uniformly from the other classes.

    Args:
        labels: N labels of at least two classes.
        share: of the rows to damage, 0..1.

    Returns:
        (N,) labels.
    """
    random = np.random.default_rng(seed)
    classes, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    chosen = random.permutation(len(codes))[: round(share * len(codes))]
    codes[chosen] = (codes[chosen] + random.integers(1, len(classes), len(chosen))) % len(classes)
    return classes[codes]
