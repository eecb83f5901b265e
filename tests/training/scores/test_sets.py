"""Sets of classes: the threshold keeps its promise on new products, and the figures are those of the sets."""

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.product_serving.hierarchy import attribute_scores
from handlers.product_serving.settings import Attribute, ProductSettings
from training.scores.calibration import fitted_settings, set_figures, set_threshold


def drawn(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Products of 6 classes whose right class is drawn from their own probabilities, so that these are calibrated."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(6, 0.3), count).astype(np.float32)
    truth = np.array([random.choice(6, p=row / row.sum()) for row in probabilities.astype(np.float64)])
    return probabilities, truth


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_new_products_are_covered_as_promised(coverage: float) -> None:
    threshold = set_threshold(*drawn(4000, seed=0), coverage=coverage)
    figures = set_figures(*drawn(4000, seed=1), threshold)
    assert figures["coverage"] == pytest.approx(coverage, abs=0.02)
    assert 1 <= figures["size"] < 6 and figures["products"] == 4000


def test_the_threshold_is_the_score_of_a_right_class() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.8, 0.2]])
    assert set_threshold(probabilities, np.array([0, 0, 0, 0]), coverage=0.8) == pytest.approx(0.6)
    assert set_threshold(probabilities, np.array([0, 1, 0, 0]), coverage=0.6) == pytest.approx(0.7)


def test_too_few_products_promise_nothing() -> None:
    probabilities, truth = drawn(18, seed=2)
    assert set_threshold(probabilities, truth, coverage=0.95) == 0
    probabilities, truth = drawn(19, seed=2)
    assert set_threshold(probabilities, truth, coverage=0.95) == probabilities[np.arange(19), truth].min()


def test_a_set_is_never_empty() -> None:
    figures = set_figures(np.array([[0.5, 0.3, 0.2]], np.float32), np.array([1]), 0.9)
    assert figures == {"products": 1, "coverage": 0, "size": 1, "single": 1}


def test_a_model_that_errs_more_often_than_promised_gets_larger_sets() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(4, size=500)
    logits = random.normal(size=(500, 4)).astype(np.float32)
    logits[np.arange(500), truth] += 1
    settings = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("a", "b", "c", "d")),))
    fitted = fitted_settings(logits, truth[:, None], settings)
    figures = set_figures(attribute_scores(logits.astype(float), fitted), truth, fitted.main.set_threshold)
    assert figures["coverage"] == pytest.approx(0.95, abs=0.01) and figures["size"] > 1.5
