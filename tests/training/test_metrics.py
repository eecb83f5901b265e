"""Every number by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics import (
    Difference,
    accuracy,
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


def test_a_bootstrap_of_equal_models_is_zero() -> None:
    right = np.array([True, False] * 50)
    assert paired_bootstrap(right, right, np.arange(100), draws=50) == Difference(0, 0, 0)


def test_a_bootstrap_over_groups_is_wider() -> None:
    random = np.random.default_rng(0)
    right = np.repeat(random.random(40) < 0.8, 10)
    other = np.repeat(random.random(40) < 0.6, 10)
    alone = paired_bootstrap(right, other, np.arange(400), draws=400)
    grouped = paired_bootstrap(right, other, np.repeat(np.arange(40), 10), draws=400)
    assert alone.mean == pytest.approx(grouped.mean)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([(0.02, 0.01, 0.03)] * 3, "better"),
        ([(-0.02, -0.03, -0.01)] * 3, "worse"),
        ([(0.02, -0.01, 0.05)] * 3, "tie"),
        ([(0.002, 0.001, 0.003)] * 3, "tie"),
        ([(0.02, 0.01, 0.03), (0.02, 0.01, 0.03), (-0.01, -0.02, 0.01)], "better"),
        ([(0.05, 0.01, 0.09), (0.0, -0.01, 0.01), (-0.01, -0.02, 0.01)], "tie"),
    ],
)
def test_verdicts(differences: list[tuple[float, float, float]], expected: str) -> None:
    assert verdict([Difference(*difference) for difference in differences]) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 1000))
def test_every_number_is_a_share(products: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), size=products)
    summary = summarize(probabilities, random.integers(0, classes, products), [str(label) for label in range(classes)])
    shares = {name: value for name, value in summary.items() if isinstance(value, float) and name != "brier"}
    assert all(0 <= value <= 1 for value in shares.values())
    assert 0 <= summary["brier"] <= 2
