"""Metrics, compared with values computed by hand."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.scores.metrics import (
    Difference,
    RunPredictions,
    accuracy,
    area_under_risk_coverage,
    brier_score,
    coverage_at_precision,
    expected_calibration_error,
    macro_f1,
    paired_bootstrap,
    risk_coverage,
    summarize,
    verdict,
)

TRUTH = np.array([0, 0, 1, 2])
PREDICTED = np.array([0, 1, 1, 1])
# confidences .9 .8 .7 .6; right, wrong, right, wrong
PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.7, 0.3], [0.0, 0.6, 0.4]])


def test_accuracy() -> None:
    assert accuracy(TRUTH, PREDICTED) == 0.5


def test_macro_f1_counts_a_class_never_predicted_as_zero() -> None:
    # F1: class 0 2*1*.5/1.5 = 2/3; class 1 2*(1/3)*1/(4/3) = 1/2; class 2 0
    assert macro_f1(TRUTH, PREDICTED, classes=4) == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_macro_f1_of_frequent_classes_only() -> None:
    assert macro_f1(TRUTH, PREDICTED, classes=3, min_count=2) == pytest.approx(2 / 3)
    assert macro_f1(TRUTH, PREDICTED, classes=3, min_count=9) == 0


def test_ece_weighs_the_gap_of_each_bin() -> None:
    # one product a bin: |.9-1|, |.8-0|, |.7-1|, |.6-0|, a quarter each
    assert expected_calibration_error(PROBABILITIES, TRUTH) == pytest.approx((0.1 + 0.8 + 0.3 + 0.6) / 4)
    together = np.array([[0.98, 0.02], [0.97, 0.03]])
    assert expected_calibration_error(together, np.array([0, 1])) == pytest.approx(0.975 - 0.5)


def test_ece_takes_certainty() -> None:
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_brier_score() -> None:
    assert brier_score(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0])) == pytest.approx((0.02 + 1.28) / 2)


def test_risk_grows_with_coverage() -> None:
    coverage, risk = risk_coverage(PROBABILITIES, TRUTH)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])


def test_coverage_at_a_precision() -> None:
    assert coverage_at_precision(PROBABILITIES, TRUTH, precision=0.95) == 0.25
    assert coverage_at_precision(PROBABILITIES, TRUTH, precision=0.6) == 0.75
    assert coverage_at_precision(PROBABILITIES[1:2], TRUTH[1:2]) == 0


def test_equal_confidences_are_answered_together_whatever_their_order() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2]])
    for truth in (np.array([0, 0, 1]), np.array([0, 1, 0])):
        assert coverage_at_precision(probabilities, truth, precision=0.9) == pytest.approx(1 / 3)
        assert risk_coverage(probabilities, truth)[1].tolist() == pytest.approx([0, 0.25, 1 / 3])


def test_area_under_risk_coverage() -> None:
    assert area_under_risk_coverage(PROBABILITIES, TRUTH) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_a_summary_counts_the_classes_it_averages_over() -> None:
    truth = np.array([0] * 5 + [1])
    probabilities = np.tile([0.6, 0.3, 0.1], (6, 1))
    summary = summarize(probabilities, truth, ["a", "b", "c"])
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["products"], summary["classes"], summary["classes_frequent"]) == (6, 2, 1)
    # F1 of "a": 2 * 5 / (6 + 5); of "b" 0; "c" has no product
    assert summary["macro_f1"] == pytest.approx(10 / 11 / 2)
    assert summary["macro_f1_frequent"] == pytest.approx(10 / 11)


def answers(truth: np.ndarray, *predicted: np.ndarray, groups: np.ndarray | None = None) -> RunPredictions:
    own = np.arange(len(truth)) if groups is None else groups
    return RunPredictions(truth, np.stack(predicted), own, classes=int(max(truth.max(), np.max(predicted))) + 1)


def test_a_bootstrap_observes_what_sklearn_computes() -> None:
    random = np.random.default_rng(1)
    truth, predicted = random.integers(0, 5, 60), random.integers(0, 5, 60)
    boot = paired_bootstrap([answers(truth, predicted, truth)], draws=3)
    assert boot.observed["accuracy"][0].tolist() == [accuracy(truth, predicted), 1]
    assert boot.observed["macro_f1"][0].tolist() == pytest.approx([macro_f1(truth, predicted, classes=5), 1])


def test_each_draw_is_the_metric_of_a_resample() -> None:
    # Two groups of one product: a draw holds (0, 0), (0, 1) or (1, 1), so accuracy is 1, .5 or 0, half of them .5.
    boot = paired_bootstrap([answers(np.array([0, 1]), np.array([0, 0]))], draws=4000)
    values, counts = np.unique(boot.drawn["accuracy"], return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    # Macro-F1 over the classes that are there: 1 for (0, 0); 2/3 and 0 for (0, 1); 0 for (1, 1).
    assert np.unique(boot.drawn["macro_f1"]).tolist() == pytest.approx([0, 1 / 3, 1])


def test_a_bootstrap_of_equal_models_is_zero() -> None:
    truth, predicted = np.array([0, 1] * 50), np.zeros(100, dtype=np.int64)
    boot = paired_bootstrap([answers(truth, predicted, predicted)], draws=50)
    assert boot.difference("accuracy", 0, 1) == Difference(0, 0, 0, (0,))
    assert boot.difference("macro_f1", 0, 1) == Difference(0, 0, 0, (0,))


def test_a_bootstrap_over_groups_is_wider() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat(random.integers(0, 2, 40), 10)
    model = np.where(np.repeat(random.random(40) < 0.8, 10), truth, 1 - truth)
    other = np.where(np.repeat(random.random(40) < 0.6, 10), truth, 1 - truth)
    alone, grouped = (
        paired_bootstrap([answers(truth, model, other, groups=groups)], draws=400).difference("accuracy", 0, 1)
        for groups in (np.arange(400), np.repeat(np.arange(40), 10))
    )
    assert alone.mean == pytest.approx(grouped.mean)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_an_interval_covers_the_true_difference_with_its_probability() -> None:
    random = np.random.default_rng(2)
    truth, covered = np.zeros(150, dtype=np.int64), 0
    for trial in range(100):
        model, other = (random.random((2, 150)) > np.array([[0.1], [0.2]])).astype(np.int64)
        difference = paired_bootstrap([answers(truth, 1 - model, 1 - other)], draws=300, seed=trial).difference(
            "accuracy", 0, 1
        )
        covered += difference.low <= 0.1 <= difference.high
    assert 88 <= covered <= 100


def test_products_in_several_runs_are_drawn_together() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(0, 2, 200)
    model = np.where(random.random(200) < 0.8, truth, 1 - truth)
    same = answers(truth, model, np.zeros_like(truth))
    apart = dataclasses.replace(same, groups=same.groups + 200)
    once, shared, separate = (
        paired_bootstrap(runs, draws=2000).difference("accuracy", 0, 1)
        for runs in ([same], [same, same], [same, apart])
    )
    assert shared.runs == (once.mean, once.mean)
    assert shared.high - shared.low == pytest.approx(once.high - once.low)
    assert separate.high - separate.low == pytest.approx((once.high - once.low) / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("mean", "low", "high", "runs", "expected"),
    [
        (0.02, 0.01, 0.03, (0.02, 0.03, 0.01), "better"),
        (-0.02, -0.03, -0.01, (-0.02, -0.03, -0.01), "worse"),
        (0.02, -0.01, 0.05, (0.02, 0.03, 0.01), "tie"),  # the interval holds 0
        (0.002, 0.001, 0.003, (0.002,), "tie"),  # too small to matter
        (0.02, 0.01, 0.03, (0.07, 0.02, -0.03), "better"),  # the sign holds in two of three
        (0.02, 0.01, 0.03, (0.08, -0.01, -0.01), "tie"),  # and here in one
        (0.02, 0.01, 0.03, (0.05, -0.01), "tie"),  # half is not most
        (0.0, 0.0, 0.0, (0.0,), "tie"),
    ],
)
def test_verdicts(mean: float, low: float, high: float, runs: tuple[float, ...], expected: str) -> None:
    assert verdict(Difference(mean, low, high, runs)) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 1000))
def test_every_number_is_a_share(products: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), size=products)
    summary = summarize(probabilities, random.integers(0, classes, products), [str(label) for label in range(classes)])
    shares = {name: value for name, value in summary.items() if isinstance(value, float) and name != "brier"}
    assert all(0 <= value <= 1 for value in shares.values())
    assert 0 <= summary["brier"] <= 2
