"""Scores of each class, pairs of confused classes, and the classes of the matrix, with known numbers."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from training.reporting.sections.classes import ClassPair, class_scores, confusion_counts, most_confused, worst_pairs


def test_class_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 8, 200), rng.integers(0, 9, 200)
    scores = class_scores(truth, predicted, classes=10)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(10), zero_division=0)
    for ours, theirs in zip((scores.precision, scores.recall, scores.f1, scores.support), expected, strict=True):
        assert ours == pytest.approx(theirs)


def test_counts_have_the_true_class_by_row() -> None:
    counts = confusion_counts(np.array([0, 0, 2]), np.array([0, 1, 1]), classes=3)
    assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_pairs_count_both_ways_and_the_smaller_classes_come_first_among_equals() -> None:
    counts = np.array(
        [
            [90, 1, 0, 0],
            [3, 50, 2, 0],
            [0, 0, 9, 0],
            [0, 0, 2, 1],
        ]
    )
    assert worst_pairs(counts) == [ClassPair(1, 0, 3, 1), ClassPair(3, 2, 2, 0), ClassPair(1, 2, 2, 0)]
    assert worst_pairs(np.diag([3, 4])) == []


def test_classes_of_a_pair_stand_side_by_side_and_none_comes_twice() -> None:
    pairs = [ClassPair(4, 2, 9, 0), ClassPair(2, 7, 5, 1), ClassPair(1, 3, 1, 0)]
    assert most_confused(pairs, classes=20) == [4, 2, 7, 1, 3]
    assert most_confused(pairs, classes=3) == [4, 2, 7]
