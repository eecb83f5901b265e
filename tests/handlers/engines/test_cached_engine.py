"""Cached answers equal computed ones, take bounded memory, and need no computation."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import draw, encode
from serving import LABELS, TITLES

from handlers.product_serving.engines.cached import ENTRY_BYTES, MIB, CachedEngine
from handlers.product_serving.engines.engine import Batch, Outputs, Parts
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.preprocessing import Product, ProductPreprocessor, collate


class Recorder:
    """An engine that records the number of products of each call."""

    tolerance = 1e-3

    def __init__(self, run: Callable[[Batch], NDArray[np.float32]]) -> None:
        self.run, self.asked = run, list[int]()

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        return self.outputs(batch).logits

    def outputs(self, batch: Batch) -> Outputs:
        logits = self.run(batch)
        self.asked.append(len(logits))
        return Outputs(logits, logits[:, 0])

    def parts(self) -> Parts:
        raise NotImplementedError


@pytest.fixture
def recorder(graphs: Path) -> Recorder:
    return Recorder(OnnxEngine(graphs / "model.onnx", threads=1))


@pytest.fixture
def products(preprocessor: ProductPreprocessor) -> list[Product]:
    """All forms: both modalities, either one, and two products that share a modality."""
    picture = encode(draw())
    pairs: list[tuple[bytes | None, str | None]] = [
        (picture, TITLES[0]), (picture, TITLES[1]), (picture, None), (None, TITLES[0]), (None, "Shirt")
    ]  # fmt: skip
    return [preprocessor(*pair) for pair in pairs]


def cached(recorder: Recorder, *, entries: int = 100) -> tuple[CachedEngine, list[tuple[int, int]]]:
    counted: list[tuple[int, int]] = []
    mib = entries * (ENTRY_BYTES + 4 * (len(LABELS) + 1)) / MIB
    return CachedEngine(recorder, mib=mib, count=lambda *counts: counted.append(counts)), counted


def test_only_unknown_products_of_a_batch_are_computed(recorder: Recorder, products: list[Product]) -> None:
    engine, counted = cached(recorder)
    expected = recorder.run(collate(products))
    np.testing.assert_allclose(engine(collate(products[:2])), expected[:2], atol=1e-5)
    np.testing.assert_allclose(engine(collate(products)), expected, atol=1e-5)
    np.testing.assert_allclose(engine(collate(products[::-1])), expected[::-1], atol=1e-5)
    assert recorder.asked == [2, 3] and counted == [(0, 2), (2, 3), (5, 0)]
    assert engine.tolerance == recorder.tolerance


def test_padding_does_not_change_the_key(recorder: Recorder, products: list[Product]) -> None:
    engine, counted = cached(recorder)
    engine(collate(products))
    engine(collate([products[4]]))  # its title alone is shorter than the batch's longest
    assert counted[-1] == (1, 0)


def test_a_product_that_comes_twice_in_a_batch_is_computed_once(recorder: Recorder, products: list[Product]) -> None:
    engine, counted = cached(recorder)
    logits = engine(collate([products[0], products[1], products[0]]))
    assert recorder.asked == [2] and counted == [(1, 2)] and (logits[0] == logits[2]).all()


def test_the_least_recently_used_entry_is_dropped_first(recorder: Recorder, products: list[Product]) -> None:
    engine, counted = cached(recorder, entries=2)
    for number in (0, 1, 0, 2, 0, 1):
        engine(collate([products[number]]))
    assert [hits for hits, _ in counted] == [0, 0, 1, 0, 1, 0]
    assert len(engine._rows) == 2


def test_a_failed_or_not_finite_answer_is_not_cached(recorder: Recorder, products: list[Product]) -> None:
    right = recorder.run
    engine, counted = cached(recorder)
    recorder.run = lambda batch: right(batch) * np.float32("nan")
    assert np.isnan(engine(collate(products))).all()

    def fail(batch: Batch) -> Any:
        raise MemoryError

    recorder.run = fail
    with pytest.raises(MemoryError):
        engine(collate(products))
    recorder.run = right
    assert np.isfinite(engine(collate(products))).all() and counted[-1] == (0, len(products))


def test_a_caller_that_writes_into_an_answer_changes_no_other(recorder: Recorder, products: list[Product]) -> None:
    engine, _ = cached(recorder)
    expected = engine(collate(products)).copy()
    engine(collate(products))[:] = 7
    assert (engine(collate(products)) == expected).all()


def test_threads_share_the_cache(recorder: Recorder, products: list[Product]) -> None:
    engine, counted = cached(recorder, entries=3)
    expected = recorder.run(collate(products))
    failed: list[int] = []

    def ask(seed: int) -> None:
        order = np.random.default_rng(seed)
        for _ in range(30):
            chosen = order.choice(len(products), 3)
            if not np.allclose(engine(collate([products[row] for row in chosen])), expected[chosen], atol=1e-5):
                failed.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(engine._rows) <= 3 and sum(map(sum, counted)) == 4 * 30 * 3
