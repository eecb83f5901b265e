"""A model's calibration: each temperature is that of the products it is served for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from handlers.product_serving.settings import Attribute, ProductSettings
from training.data.attributes import MISSING
from training.features.batches import Features
from training.pipeline.results import calibrate
from training.scores.calibration import fit_temperature, fitted_settings
from training.system.device import choose_device

RANDOM = np.random.default_rng(0)
PRODUCTS, VALIDATION = 400, 300
TRUTH = RANDOM.integers(0, 2, PRODUCTS)
TITLED = np.arange(PRODUCTS) % 3 > 0
ATTRIBUTE = ProductSettings(
    model="early",
    attributes=(Attribute(name="a", labels=("0", "1")), Attribute(name="b", labels=("x", "y"))),
)


class FirstToken(nn.Module):
    """Logits that lie in the title's first token, whether there is a title or not."""

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        return text[:, 0]


@pytest.fixture
def logits() -> np.ndarray:
    """Titles tell 80 of 100 classes; what stands where there is none is wrong and sure of it."""
    told = np.where(RANDOM.random(PRODUCTS) < 0.8, TRUTH, 1 - TRUTH)
    return np.where(TITLED[:, None], 3 * np.eye(2)[told], 9 * np.eye(2)[1 - TRUTH]).astype(np.float16)


def features(logits: np.ndarray) -> Features:
    places, ones = np.arange(PRODUCTS)[None], np.ones((1, PRODUCTS), dtype=np.int64)
    present = np.column_stack([np.ones(PRODUCTS, dtype=bool), TITLED])
    nothing = np.zeros((1, 0), np.float32)
    pictures = np.zeros((PRODUCTS, 1, 1), np.float16)
    return Features(pictures, logits, places, ones, nothing, 0 * places, present, TRUTH[:, None])


def run(rows: np.ndarray) -> Any:
    parts = {"validation": rows[:VALIDATION], "test": rows[VALIDATION:]}
    settings = ProductSettings(model="early", attributes=(Attribute(name="label", labels=("0", "1")),))
    whole = {"held_out": rows, "rows": parts.__getitem__, "targets": TRUTH[:, None]}
    data = SimpleNamespace(settings=settings, hierarchies=(), **whole)
    return SimpleNamespace(data=data, device=choose_device("fp32"))


@pytest.mark.parametrize("name", ["text", "early"])
def test_what_a_model_is_not_asked_does_not_move_its_temperature(logits: np.ndarray, name: str) -> None:
    rows = np.arange(PRODUCTS)
    answers = calibrate(run(rows), name, SimpleNamespace(head=FirstToken(), lexical_encoder=None), features(logits))  # type: ignore[arg-type]
    asked = rows[:VALIDATION][TITLED[:VALIDATION]]
    assert answers.settings.main.temperature == pytest.approx(
        fit_temperature(logits[asked].astype(np.float32), TRUTH[asked])
    )
    assert answers.validation.shape == (VALIDATION, 2) and answers.test.shape == (PRODUCTS - VALIDATION, 2)
    np.testing.assert_array_equal(answers.validation_whole, TITLED[:VALIDATION])


def test_an_attribute_that_nothing_is_known_of_is_looked_at() -> None:
    truth = np.column_stack([TRUTH, np.full(PRODUCTS, MISSING)])
    fitted = fitted_settings(RANDOM.normal(0, 1, (PRODUCTS, 4)).astype(np.float32), truth, ATTRIBUTE)
    assert fitted.attributes[1].review_threshold == 1
    again = fitted_settings(np.zeros((PRODUCTS, 4), np.float32), np.full_like(truth, MISSING), fitted)
    assert again.attributes == fitted.attributes


def test_the_precision_that_settings_name_is_the_one_that_is_kept() -> None:
    truth = np.zeros((10, 1), dtype=np.int64)
    logits = np.array([[9 - number, 0] for number in range(8)] + [[-1, 0], [-2, 0]], dtype=np.float32)
    thresholds = [
        fitted_settings(
            logits,
            truth,
            ProductSettings(model="text", attributes=(Attribute(name="a", labels=("0", "1")),), review_precision=value),
        )
        for value in (0.5, 0.95)
    ]
    assert thresholds[0].main.review_threshold < thresholds[1].main.review_threshold


def test_each_state_of_modalities_has_a_set_and_its_figures(logits: np.ndarray) -> None:
    classifier: Any = SimpleNamespace(head=FirstToken(), lexical_encoder=None)
    answers = calibrate(run(np.arange(PRODUCTS)), "early", classifier, features(logits))
    assert list(answers.sets) == ["both", "image", "text"]
    for state, figures in answers.sets.items():
        fitted = answers.settings if state == "both" else answers.settings.for_modalities((state,))
        assert 0 < fitted.main.set_threshold <= 1
        assert figures["coverage"] == pytest.approx(0.95, abs=0.06) and 1 <= figures["size"] <= 2
    alone = calibrate(run(np.arange(PRODUCTS)), "text", classifier, features(logits))
    assert list(alone.sets) == ["text"]


def test_too_few_products_promise_no_set(logits: np.ndarray) -> None:
    few: Any = run(np.arange(PRODUCTS))
    parts = {"validation": np.arange(18), "test": np.arange(18, 40)}
    few.data.rows = parts.__getitem__
    few.data.held_out = np.arange(40)
    answers = calibrate(few, "early", SimpleNamespace(head=FirstToken(), lexical_encoder=None), features(logits))  # type: ignore[arg-type]
    assert answers.sets == {} and answers.settings.main.set_threshold == 0
