"""Verification lets agreement pass and names what differs."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from export.verify import Forward, VerificationError, require_parity, verify
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.preprocessing import Product

IDS = [f"product-{number}" for number in range(20)]
TRUTH = np.arange(20) % 3


def product(number: int) -> Product:
    ids = np.array([2, *range(10, 10 + number % 5), 3], dtype=np.int64)
    image = np.full((3, 4, 4), number, dtype=np.uint8)
    return Product(image, ids, np.ones_like(ids), np.array([True, True]))


def reference(batch: Batch) -> NDArray[np.float32]:
    """A model whose class is the picture's value modulo 3, and that reads the mask and what is present."""
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
    require_parity(verify(reference, {"other": other}, products, ids=IDS, truth=TRUTH, max_tokens=8))


def test_agreement_passes_with_its_figures() -> None:
    products = [product(number) for number in range(20)]
    parity = verify(reference, {"same": reference}, products, ids=IDS, truth=TRUTH, max_tokens=8)["same"]
    assert parity.passed and parity.largest_difference == 0 and parity.same_class == 1
    assert parity.accuracy == parity.eager_accuracy == 1.0
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
    parity = verify(lambda batch: near_tie, engines, [product(0)], ids=["a"], truth=np.array([1]), max_tokens=8)[
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


def test_a_graph_that_ignores_what_is_missing_is_noticed() -> None:
    def reads_what_is_not_there(batch: Batch, logits: NDArray[np.float32]) -> None:
        logits[:, 0] += 0.1 * ~batch.present[:, 1]

    with pytest.raises(VerificationError):
        compare(engine(reads_what_is_not_there))


def test_no_products_is_an_error() -> None:
    with pytest.raises(ValueError, match="no products"):
        verify(reference, {}, [], ids=[], truth=np.array([], dtype=np.int64), max_tokens=8)
