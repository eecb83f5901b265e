"""Label noise: the given share of the labels, always another class, determined by the seed."""

import numpy as np
import pytest

from training.data.label_noise import damage_labels

LABELS = ["Shirts", "Shoes", "Bags", "Watches"] * 50


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_exactly_the_share_is_wrong(share: float) -> None:
    damaged = damage_labels(LABELS, share=share, seed=0)
    assert (damaged != np.array(LABELS)).sum() == round(share * len(LABELS))
    assert set(damaged) <= set(LABELS)


def test_wrong_labels_are_spread_over_the_other_classes() -> None:
    damaged = damage_labels(["Shirts"] * 3000 + ["Shoes", "Bags", "Watches"], share=1.0, seed=0)
    _, counts = np.unique(damaged[:3000], return_counts=True)
    assert len(counts) == 3 and counts.min() > 900


def test_the_seed_decides() -> None:
    first, again, other = (damage_labels(LABELS, share=0.3, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()
