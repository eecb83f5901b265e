"""Calibration: known parameters are recovered; without enough data they stay within bounds."""

import numpy as np
import pytest
from scipy.special import softmax

from training.data.dataset import balanced_weights
from training.scores.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    fit_temperature,
    frequency_shift,
    fusion_weights,
    review_threshold,
)
from training.scores.metrics import coverage_at_precision

RANDOM = np.random.default_rng(0)


def drawn(temperature: float, products: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn with the probabilities that they give at a temperature."""
    logits = RANDOM.normal(0, 3, (products, 4)).astype(np.float32)
    chance = softmax(logits / temperature, axis=1).cumsum(1)
    return logits, (RANDOM.random((products, 1)) > chance).sum(1).clip(0, 3)


def test_true_frequencies_come_back_from_balanced_batches() -> None:
    """A feature with three values in two classes of 900 and 100: the posterior by hand, with and without balancing."""
    targets = np.repeat([0, 1], [900, 100])
    given = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])  # (class, value)
    seen, true = (given * np.array(frequencies)[:, None] for frequencies in ([0.75, 0.25], [0.9, 0.1]))
    shift = frequency_shift(targets, balanced_weights(targets[:, None]), classes=2)
    np.testing.assert_allclose(softmax(np.log(seen).T + shift, axis=1), (true / true.sum(0)).T, rtol=1e-9)


def test_classes_of_one_size_need_no_shift() -> None:
    targets = np.arange(30) % 3
    np.testing.assert_allclose(frequency_shift(targets, balanced_weights(targets[:, None]), classes=3), 0, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_drawn_classes_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_wrong_labels_do_not_make_all_answers_less_sure() -> None:
    """By likelihood the mean confidence would be 0.07 too low here."""
    logits = RANDOM.normal(0, 6, (20_000, 20))
    truth = (RANDOM.random((20_000, 1)) > softmax(logits, axis=1).cumsum(1)).sum(1).clip(0, 19)
    wrong = RANDOM.random(20_000) < 0.03
    truth[wrong] = RANDOM.integers(0, 20, wrong.sum())
    answers = softmax(logits / fit_temperature(logits, truth), axis=1)
    assert answers.max(1).mean() == pytest.approx((answers.argmax(1) == truth).mean(), abs=0.02)


def test_a_temperature_stays_within_bounds() -> None:
    truth = np.arange(3000) % 3
    logits = np.eye(3, dtype=np.float32)[truth]
    assert fit_temperature(logits, truth) == pytest.approx(MIN_TEMPERATURE, rel=1e-3)
    assert fit_temperature(9 * logits, (truth + 1) % 3) == pytest.approx(MAX_TEMPERATURE, rel=1e-3)


def test_few_products_without_an_error_do_not_make_it_certain() -> None:
    logits = 3 * np.eye(4, dtype=np.float32)
    assert 0.5 < fit_temperature(logits, np.arange(4)) < 1
    assert 0.5 < fit_temperature(logits[:1], np.array([0])) < 1
    assert 1 < fit_temperature(logits[:1], np.array([1])) < 4


def test_huge_logits_are_no_problem() -> None:
    assert (
        MIN_TEMPERATURE <= fit_temperature(np.float32([[1e30, -1e30], [-1e30, 1e30]]), np.arange(2)) <= MAX_TEMPERATURE
    )


def scores(*confidences: float) -> np.ndarray:
    return np.array([[confidence, 1 - confidence] for confidence in confidences])


def test_the_threshold_is_the_lowest_score_that_keeps_the_precision() -> None:
    probabilities = scores(0.9, 0.8, 0.7, 0.6)
    assert review_threshold(probabilities, np.array([0, 0, 1, 0]), precision=0.75) == 0.6
    assert review_threshold(probabilities, np.array([0, 0, 1, 1]), precision=0.9) == 0.8
    assert review_threshold(probabilities[[2, 0, 3, 1]], np.array([1, 0, 1, 0]), precision=0.9) == 0.8


def test_a_precision_that_is_never_reached_reviews_everything() -> None:
    assert review_threshold(scores(0.9, 0.8, 0.7, 0.6), np.array([1, 0, 0, 0]), precision=0.9) == 1.0


def test_equal_scores_are_reviewed_together() -> None:
    assert review_threshold(scores(0.9, 0.8, 0.8), np.array([0, 0, 1]), precision=0.9) == 0.9
    assert review_threshold(scores(1.0, 1.0, 0.8), np.array([0, 1, 0]), precision=0.9) == 1.0


def test_lower_scores_than_any_seen_are_reviewed_even_if_all_answers_were_right() -> None:
    assert review_threshold(scores(0.9, 0.6), np.array([0, 0])) == 0.6


def test_the_threshold_and_the_coverage_agree() -> None:
    probabilities = RANDOM.dirichlet([0.2, 0.2, 0.2], 500).round(2)
    truth = np.array([RANDOM.choice(3, p=row / row.sum()) for row in probabilities])
    threshold = review_threshold(probabilities, truth, precision=0.9)
    assert 0 < np.mean(probabilities.max(1) >= threshold) < 1
    assert np.mean(probabilities.max(1) >= threshold) == coverage_at_precision(probabilities, truth, precision=0.9)


def weights_of(*models: np.ndarray, truth: np.ndarray, counts: np.ndarray | None = None) -> list[float]:
    counts = np.ones(len(truth)) if counts is None else counts
    return fusion_weights(np.stack(models).astype(np.float32), truth, counts).round(2).tolist()


def test_the_weight_goes_to_the_model_that_knows() -> None:
    truth = RANDOM.integers(0, 2, 500)
    knows = np.where(np.eye(2)[truth] == 1, 0.95, 0.05)
    guesses = np.full((500, 2), 0.5)
    assert weights_of(knows, guesses, truth=truth) == [0.95, 0.05]
    assert weights_of(guesses, knows, truth=truth) == [0.05, 0.95]
    assert weights_of(guesses, knows, guesses, truth=truth) == [0.05, 0.9, 0.05]


def test_few_products_do_not_remove_a_model() -> None:
    knows, unsure = scores(1.0, 1.0, 1.0), scores(0.6, 0.6, 0.6)
    truth = np.zeros(3, dtype=np.int64)
    assert 0.6 < weights_of(knows, unsure, truth=truth)[0] < 0.9
    assert weights_of(knows, knows, truth=truth) == [0.5, 0.5]


def test_a_class_that_both_models_exclude_is_no_error() -> None:
    assert weights_of(scores(1.0), scores(1.0), truth=np.array([1])) == [0.5, 0.5]


def test_models_that_know_different_things_share_the_weight() -> None:
    truth = np.arange(400) % 2
    first_half = (np.arange(400) < 200)[:, None]
    right = np.where(np.eye(2)[truth] == 1, 0.99, 0.01)
    unsure = np.full((400, 2), 0.5)
    first, second = np.where(first_half, right, unsure), np.where(first_half, unsure, right)
    assert weights_of(first, second, truth=truth) == pytest.approx([0.5, 0.5])
    counts = np.where(first_half[:, 0], 4.0, 1.0)
    assert weights_of(first, second, truth=truth, counts=counts)[0] > 0.7, "products that count more decide more"


def test_the_weight_is_the_one_that_is_right_most_often() -> None:
    """The text alone is the likeliest; but it is wrong once, where the picture is right."""
    truth = np.zeros(91, dtype=np.int64)
    text, image = scores(*[0.999] * 90, 0.4), scores(*[0.6] * 90, 0.9)
    of_image, of_text = weights_of(image, text, truth=truth)
    assert of_image * 0.9 + of_text * 0.4 > 0.5


def test_among_nearly_equal_weights_the_likeliest_one_wins() -> None:
    """One product of 2,000 is too few to leave the likeliest weight for."""
    truth = np.zeros(2000, dtype=np.int64)
    text, image = scores(*[0.999] * 1999, 0.4), scores(*[0.6] * 1999, 0.8)
    assert weights_of(image, text, truth=truth) == [0.05, 0.95]
