"""Scores: softmax with temperature, batches of limited size, and a failing product that fails alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from serving import OnlyLogits

from handlers.product_serving.errors import ProductError
from handlers.product_serving.preprocessing import Product
from handlers.product_serving.scores import Scored, score_batch, score_products
from handlers.product_serving.settings import Attribute, ProductSettings

SETTINGS = ProductSettings(
    model="late", attributes=(Attribute(name="label", labels=("a", "b", "c"), temperature=2.0),), max_batch=4
)


def product(value: int) -> Product:
    ids = np.array([2, 3], dtype=np.int64)
    picture = np.full((3, 2, 2), value, dtype=np.uint8)
    return Product(picture, ids, np.ones_like(ids), np.array([True, False]), np.empty(0, np.int64))


OnBatch = Callable[[NDArray[np.uint8], NDArray[np.float32]], None]


class Echo(OnlyLogits):
    """Logits (value, 0, 1) of a product; ``on_batch`` may change them or raise."""

    def __init__(
        self, on_batch: Callable[[NDArray[np.uint8], NDArray[np.float32]], None] = lambda values, out: None
    ) -> None:
        super().__init__(self._echo)
        self.sizes: list[int] = []
        self._on_batch = on_batch

    def _echo(self, batch: Any) -> NDArray[np.float32]:
        values = batch.image[:, 0, 0, 0]
        self.sizes.append(len(values))
        logits = np.stack([values, values * 0, values * 0 + 1], 1).astype(np.float32)
        self._on_batch(values, logits)
        return logits


def stacked(answers: Sequence[Scored | ProductError]) -> NDArray[np.float64]:
    assert not [answer for answer in answers if isinstance(answer, ProductError)]
    return np.stack([answer.scores for answer in answers if isinstance(answer, Scored)])


def softmax(value: float) -> NDArray[np.float64]:
    powers = np.exp(np.array([value, 0, 1]) / SETTINGS.main.temperature)
    return np.asarray(powers / powers.sum())


def test_the_temperature_divides_the_logits() -> None:
    np.testing.assert_allclose(
        score_batch(Echo(), [product(0), product(3)], settings=SETTINGS), [softmax(0), softmax(3)]
    )


def test_large_logits_do_not_overflow() -> None:
    def enlarge(values: NDArray[np.uint8], logits: NDArray[np.float32]) -> None:
        logits *= 3e38

    np.testing.assert_array_equal(score_batch(Echo(enlarge), [product(0)], settings=SETTINGS), [[0, 0, 1]])


def test_batches_are_bounded_and_in_order() -> None:
    engine = Echo()
    answers = score_products(engine, [product(value) for value in range(10)], settings=SETTINGS)
    assert engine.sizes == [4, 4, 2]
    np.testing.assert_allclose(stacked(answers), [softmax(value) for value in range(10)])
    assert score_products(engine, [], settings=SETTINGS) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_logit_that_is_not_finite_fails_its_product(bad: float) -> None:
    def spoil(values: NDArray[np.uint8], logits: NDArray[np.float32]) -> None:
        logits[values == 2, 1] = bad

    answers = score_products(Echo(spoil), [product(value) for value in range(4)], settings=SETTINGS)
    assert isinstance(answers[2], ProductError) and answers[2].type == "model_output_invalid"
    for value in (0, 1, 3):
        alone = score_batch(Echo(), [product(value)], settings=SETTINGS)
        np.testing.assert_array_equal(stacked([answers[value]]), alone)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer"), "out_of_memory"),
        (RuntimeError("std::bad_alloc"), "out_of_memory"),
        (RuntimeError("shapes do not fit"), "model_output_invalid"),
    ],
)
def test_a_batch_that_fails_is_tried_one_by_one(error: Exception, kind: str) -> None:
    def fail(values: NDArray[np.uint8], logits: NDArray[np.float32]) -> None:
        if 2 in values:
            raise error

    engine = Echo(fail)
    answers = score_products(engine, [product(value) for value in range(6)], settings=SETTINGS)
    assert engine.sizes == [4, 1, 1, 1, 1, 2]
    assert [answer.type if isinstance(answer, ProductError) else None for answer in answers] == [
        None,
        None,
        kind,
        *[None] * 3,
    ]


def test_a_batch_too_large_for_memory_is_answered_one_by_one() -> None:
    def small_only(values: NDArray[np.uint8], logits: NDArray[np.float32]) -> None:
        if len(values) > 1:
            raise MemoryError

    answers = score_products(Echo(small_only), [product(value) for value in range(4)], settings=SETTINGS)
    np.testing.assert_allclose(stacked(answers), [softmax(value) for value in range(4)])


def test_a_graph_frozen_to_one_batch_size_is_noticed() -> None:
    class Frozen(Echo):
        def __call__(self, batch: Any) -> NDArray[np.float32]:
            return super().__call__(batch)[:1]

    with pytest.raises(ValueError, match="the engine gave 1 answers to 2 products"):
        score_batch(Frozen(), [product(0), product(1)], settings=SETTINGS)
