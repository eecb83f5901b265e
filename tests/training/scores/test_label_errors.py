"""Planted wrong labels are found, right labels are not flagged."""

import numpy as np
import pytest

from training.scores.label_errors import LabelledAnswers, average_answers, find_suspects


def answers(labels: list[int], *, truth: list[int], classes: int = 4, score: float = 0.9) -> LabelledAnswers:
    """Products from 0, all predicted correctly."""
    probabilities = np.full((len(truth), classes), (1 - score) / (classes - 1), dtype=np.float32)
    probabilities[np.arange(len(truth)), truth] = score
    ids = np.array([f"p{number:03}" for number in range(len(truth))])
    return LabelledAnswers(ids, np.array(labels), probabilities)


def test_planted_errors_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    labels = truth.copy()
    labels[[3, 50, 170]] = (truth[[3, 50, 170]] + 1) % 3
    found = find_suspects([answers(labels.tolist(), truth=truth.tolist())])
    assert {each.product for each in found} == {"p003", "p050", "p170"}
    assert all(each.suggested == truth[int(each.product[1:])] for each in found)
    assert all(each.given == labels[int(each.product[1:])] for each in found)
    assert [each.quality for each in found] == pytest.approx([0.1 / 3] * 3)
    assert [each.confidence for each in found] == pytest.approx([0.9] * 3)
    assert {each.answers for each in found} == {1}


def test_the_least_likely_label_comes_first() -> None:
    labels, truth = [0, 1, 2] * 20, [0, 1, 2] * 20
    labels[0], labels[4] = 1, 2
    said = answers(labels, truth=truth)
    said.probabilities[4] = [0.01, 0.98, 0.005, 0.005]
    assert [each.product for each in find_suspects([said])] == ["p004", "p000"]


def test_answers_of_several_runs_are_averaged_by_product_and_label() -> None:
    first = answers([0, 1], truth=[0, 1], score=0.9)
    second = answers([0, 2], truth=[1, 2], score=0.5)
    products, counts = average_answers([first, second])
    assert products.ids.tolist() == ["p000", "p001", "p001"]
    assert products.labels.tolist() == [0, 1, 2] and counts.tolist() == [2, 1, 1]
    assert products.probabilities[0] == pytest.approx((first.probabilities[0] + second.probabilities[0]) / 2)
    assert products.probabilities.sum(1) == pytest.approx(1)


def test_classes_without_a_product_raise_no_warning_and_can_be_suggested() -> None:
    labels, truth = [0, 1] * 30, [0, 1] * 30
    truth[6] = 3
    found = find_suspects([answers(labels, truth=truth, score=0.97)])
    assert {each.suggested for each in found} <= {3}


def test_certain_right_answers_give_no_suspects() -> None:
    assert find_suspects([answers([0, 1, 2, 0], truth=[0, 1, 2, 0])]) == []
