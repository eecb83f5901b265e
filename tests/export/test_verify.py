"""Verification passes equal answers and names products that differ."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from export.verify import Forward, VerificationError, require_parity, verify
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.preprocessing import Product
from handlers.product_serving.settings import Attribute, ProductSettings
from training.data.attributes import MISSING

IDS = [f"product-{number}" for number in range(20)]
TRUTH = (np.arange(20) % 3)[:, None]
SETTINGS = ProductSettings(
    model="tiny", attributes=(Attribute(name="label", labels=("a", "b", "c")),), image_size=20, max_tokens=8
)


def product(number: int) -> Product:
    ids = np.array([2, *range(10, 10 + number % 5), 3], dtype=np.int64)
    image = np.full((3, 4, 4), number, dtype=np.uint8)
    return Product(image, ids, np.ones_like(ids), np.array([True, True]), np.empty(0, np.int64))


def reference(batch: Batch) -> NDArray[np.float32]:
    """A model that answers the picture's value modulo 3, and reads the mask and the presence flags."""
    logits = np.eye(3, dtype=np.float32)[batch.image[:, 0, 0, 0] % 3]
    logits[:, 0] += 0.01 * batch.attention_mask.sum(1) + 0.1 * batch.present[:, 1]
    return logits


def engine(change: Callable[[Batch, NDArray[np.float32]], None]) -> Forward:
    def run(batch: Batch) -> NDArray[np.float32]:
        logits = reference(batch)
        change(batch, logits)
        return logits

    return run


def compare(other: Forward) -> None:
    products = [product(number) for number in range(20)]
    require_parity(verify(reference, {"other": other}, products, ids=IDS, truth=TRUTH, settings=SETTINGS))


def test_agreement_passes_with_its_figures() -> None:
    products = [product(number) for number in range(20)]
    parity = verify(reference, {"same": reference}, products, ids=IDS, truth=TRUTH, settings=SETTINGS)["same"]
    assert parity.passed and parity.largest_difference == 0 and parity.same_class == 1
    assert parity.attributes == {"label": {"same_class": 1.0, "accuracy": 1.0, "eager_accuracy": 1.0}}
    assert parity.products == 20 and parity.batches == 3 + 3 * 2 * 3


def test_a_class_that_differs_is_named() -> None:
    def wrong_on_seven(batch: Batch, logits: NDArray[np.float32]) -> None:
        logits[batch.image[:, 0, 0, 0] == 7] = [9.0, 0.0, 0.0]

    with pytest.raises(VerificationError, match="product-7"):
        compare(engine(wrong_on_seven))


def test_a_swap_within_the_tolerance_still_differs() -> None:
    near_tie = np.array([[0.5, 0.5004, 0.0]], dtype=np.float32)
    swapped = np.array([[0.5004, 0.5, 0.0]], dtype=np.float32)
    engines: dict[str, Forward] = {"other": lambda batch: swapped}
    parity = verify(lambda batch: near_tie, engines, [product(0)], ids=["a"], truth=np.array([[1]]), settings=SETTINGS)[
        "other"
    ]
    assert parity.largest_difference < 1e-3 and parity.differing == ("a",) and not parity.passed


def test_logits_beyond_the_tolerance_are_refused() -> None:
    def off(batch: Batch, logits: NDArray[np.float32]) -> None:
        logits += 0.002

    with pytest.raises(VerificationError, match=r"2\.00e-03"):
        compare(engine(off))


def test_nan_is_refused() -> None:
    def broken(batch: Batch, logits: NDArray[np.float32]) -> None:
        logits[:, 2] = np.nan

    with pytest.raises(VerificationError, match="inf"):
        compare(engine(broken))


def test_a_graph_frozen_to_one_length_is_noticed() -> None:
    def ignores_the_mask(batch: Batch, logits: NDArray[np.float32]) -> None:
        logits[:, 1] += batch.input_ids.shape[1] == 8

    with pytest.raises(VerificationError):
        compare(engine(ignores_the_mask))


def test_a_graph_that_ignores_missing_modalities_is_noticed() -> None:
    def reads_what_is_not_there(batch: Batch, logits: NDArray[np.float32]) -> None:
        logits[:, 0] += 0.1 * ~batch.present[:, 1]

    with pytest.raises(VerificationError):
        compare(engine(reads_what_is_not_there))


def test_no_products_is_an_error() -> None:
    with pytest.raises(ValueError, match="no products"):
        verify(reference, {}, [], ids=[], truth=np.empty((0, 1), dtype=np.int64), settings=SETTINGS)


def test_each_attribute_has_figures_of_its_own_on_the_products_that_have_a_value() -> None:
    settings = ProductSettings(
        model="tiny",
        attributes=(Attribute(name="label", labels=("a", "b", "c")), Attribute(name="gender", labels=("x", "y"))),
        image_size=20,
        max_tokens=8,
    )

    def both(batch: Batch) -> NDArray[np.float32]:
        return np.hstack([reference(batch), np.tile(np.float32([1, 0]), (len(batch.image), 1))])

    def turned(batch: Batch) -> NDArray[np.float32]:
        return both(batch) * np.float32([1, 1, 1, -1, 1])

    genders = np.where(np.arange(20) < 10, MISSING, np.arange(20) % 2)
    truth = np.column_stack([TRUTH[:, 0], genders])
    products = [product(number) for number in range(20)]
    parity = verify(both, {"other": turned}, products, ids=IDS, truth=truth, settings=settings)["other"]
    assert parity.attributes["label"] == {"same_class": 1.0, "accuracy": 1.0, "eager_accuracy": 1.0}
    assert parity.attributes["gender"] == {"same_class": 0.0, "accuracy": 0.5, "eager_accuracy": 0.5}
    assert parity.same_class == 0 and parity.differing == tuple(IDS)
