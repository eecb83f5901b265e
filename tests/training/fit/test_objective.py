"""The loss and the scores over all attributes: weights and missing values."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from training.data.attributes import MISSING
from training.fit.objective import Objective

LOGITS = torch.tensor([[2.0, 0.0, 1.0, 0.0, 3.0], [0.0, 1.0, 0.0, 2.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0]])
TARGETS = torch.tensor([[0, 2], [1, MISSING], [0, 0]])
SEVERAL = Objective(label_smoothing=0.0, sizes=(2, 3), weights=(1.0, 0.5))


def test_a_single_attribute_has_the_cross_entropy() -> None:
    loss = Objective(sizes=(5,), weights=(1.0,), label_smoothing=0.1).loss(LOGITS, TARGETS[:, :1])
    torch.testing.assert_close(loss, cross_entropy(LOGITS, TARGETS[:, 0], label_smoothing=0.1))


def test_attributes_add_up_by_their_weights_and_missing_values_add_nothing() -> None:
    second = cross_entropy(LOGITS[[0, 2], 2:], TARGETS[[0, 2], 1], reduction="sum") / 3
    expected = cross_entropy(LOGITS[:, :2], TARGETS[:, 0]) + 0.5 * second
    torch.testing.assert_close(SEVERAL.loss(LOGITS, TARGETS), expected)


def test_a_missing_value_has_no_gradient_and_a_batch_without_any_value_is_finite() -> None:
    logits = LOGITS.clone().requires_grad_()
    SEVERAL.loss(logits, TARGETS).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and (logits.grad[1, 2:] == 0).all() and (logits.grad[0, 2:] != 0).all()
    nobody = torch.full_like(TARGETS, MISSING)
    assert Objective(sizes=(2, 3), weights=(1.0, 0.5)).loss(LOGITS, nobody) == 0


def test_parts_of_a_batch_average_to_the_whole() -> None:
    """Processes that share a batch rely on this."""
    parts = [SEVERAL.loss(LOGITS[rows], TARGETS[rows]) * len(rows) / 3 for rows in ([0, 1], [2])]
    torch.testing.assert_close(sum(parts), SEVERAL.loss(LOGITS, TARGETS))


def test_scores_are_means_over_the_attributes_with_values() -> None:
    accuracy, macro_f1 = SEVERAL.scores(LOGITS.numpy(), TARGETS.numpy())
    assert accuracy == pytest.approx((1 + 1) / 2)
    assert macro_f1 == pytest.approx(1)
    nobody = np.where(np.array([False, True]), MISSING, TARGETS.numpy())
    assert SEVERAL.scores(LOGITS.numpy(), nobody)[0] == 1
    alone = Objective(sizes=(2,), weights=(1.0,))
    assert alone.scores(LOGITS.numpy()[:, :2], np.array([[1], [1], [0]]))[0] == pytest.approx(2 / 3)
