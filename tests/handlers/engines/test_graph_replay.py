"""Replayed graphs answer every batch as the plain graph does, on a device that delays its work."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from late_device import LateDevice
from test_cpu_engines import batch

from handlers.product_serving.engines.engine import Engine
from handlers.product_serving.engines.graph_replay import CaptureError, GraphReplayer, Size, sizes
from handlers.product_serving.engines.torchscript import TorchScriptEngine, load_graph

TOKENS, NGRAMS, BATCH = 16, 40, 32


@pytest.fixture(scope="module")
def plain(graphs: Path) -> Engine:
    return TorchScriptEngine(graphs / "model.pt", device="cpu", threads=1)


def replayer(graphs: Path, *, seconds: float = 60.0, **options: object) -> tuple[GraphReplayer, LateDevice]:
    device = LateDevice(load_graph(graphs / "model.pt"), **options)  # type: ignore[arg-type]
    return GraphReplayer(
        device, image_size=32, max_tokens=TOKENS, max_ngrams=NGRAMS, max_batch=BATCH, seconds=seconds
    ), device


@pytest.mark.parametrize(
    ("max_batch", "batches"), [(1, {1}), (2, {1, 2}), (20, {1, 2, 4, 8, 16, 20}), (32, {1, 2, 4, 8, 16, 32})]
)
def test_batches_are_powers_of_2_and_the_largest(max_batch: int, batches: set[int]) -> None:
    assert {size.products for size in sizes(max_batch, 8)} == batches


@pytest.mark.parametrize(("max_tokens", "lengths"), [(5, {5}), (8, {8}), (20, {8, 16, 20}), (32, {8, 16, 24, 32})])
def test_lengths_come_in_steps(max_tokens: int, lengths: set[int]) -> None:
    assert {size.tokens for size in sizes(1, max_tokens)} == lengths


def test_sizes_are_all_of_batches_and_lengths_the_largest_first() -> None:
    every = sizes(BATCH, 32)
    assert len(every) == 6 * 4 and every[0] == Size(BATCH, 32) and every[-1] == Size(1, 8)


@pytest.mark.parametrize("seed", range(3))
def test_every_batch_size_and_length_is_answered_as_by_the_plain_graph(graphs: Path, plain: Engine, seed: int) -> None:
    """Batches use the same memory, so leftovers of an earlier batch would show."""
    replay, _ = replayer(graphs)
    every = itertools.product((1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32), (2, 8, 9, 16))
    for products, tokens in sorted(every, key=lambda pair: (hash((seed, *pair)), pair)):
        asked = batch(products, tokens)
        logits = replay(asked)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, plain(asked), atol=1e-5, err_msg=f"{products} x {tokens}")


def test_an_answer_outlives_the_next_one(graphs: Path) -> None:
    replay, _ = replayer(graphs)
    first = replay(batch(3, 5))
    kept = first.copy()
    replay(batch(3, 6))
    assert (first == kept).all()


def test_a_batch_takes_the_smallest_graph_that_holds_it(graphs: Path) -> None:
    replay, device = replayer(graphs)
    for products, tokens, graph in [(1, 3, (1, 8)), (3, 8, (4, 8)), (5, 9, (8, 16)), (32, 16, (32, 16))]:
        device.replayed.clear()
        replay(batch(products, tokens))
        assert device.replayed == [graph]


def test_pictures_of_the_padding_are_not_copied(graphs: Path) -> None:
    replay, device = replayer(graphs)
    pictures = 17 * 3 * 32 * 32
    replay(batch(17, 8))
    titles = 32 * (2 * 8 + NGRAMS) * 8  # of the graph for 32 products
    assert pictures < device.copied < pictures + 1.2 * titles


def test_callers_at_once_get_their_own_answers(graphs: Path, plain: Engine) -> None:
    replay, _ = replayer(graphs)
    asked = [batch(products, tokens) for products in (1, 7, 20, 32) for tokens in (3, 8, 16)] * 3
    with ThreadPoolExecutor(8) as pool:
        for question, logits in zip(asked, pool.map(replay, asked), strict=True):
            np.testing.assert_allclose(logits, plain(question), atol=1e-5)


def test_after_the_time_limit_larger_graphs_answer(graphs: Path, plain: Engine) -> None:
    replay, device = replayer(graphs, seconds=0)
    assert list(replay.graphs) == [Size(BATCH, TOKENS)]
    asked = batch(3, 4)
    np.testing.assert_allclose(replay(asked), plain(asked), atol=1e-5)
    assert device.replayed == [(BATCH, TOKENS)]


@pytest.mark.parametrize("fails_at", [1, 5])
def test_a_failed_capture_names_its_size(graphs: Path, fails_at: int) -> None:
    size = sizes(BATCH, TOKENS)[fails_at - 1]
    with pytest.raises(CaptureError, match=rf"^no graph of {size.products} products x {size.tokens} tokens: operation"):
        replayer(graphs, fails_at=fails_at)


@pytest.mark.parametrize(("products", "tokens"), [(2, 17), (33, 4)])
def test_a_batch_that_no_graph_holds_is_refused(graphs: Path, products: int, tokens: int) -> None:
    replay, _ = replayer(graphs)
    message = f"at most 32 products x 16 tokens, got {products} products x {tokens} tokens"
    with pytest.raises(ValueError, match=message):
        replay(batch(products, tokens))


def test_a_failed_batch_does_not_affect_the_next(graphs: Path, plain: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    replay, device = replayer(graphs)
    with monkeypatch.context() as patched:
        patched.setattr(device, "finish", lambda: (_ for _ in ()).throw(RuntimeError("device lost")))
        with pytest.raises(RuntimeError, match="device lost"):
            replay(batch(20, 9))
    asked = batch(13, 7)
    np.testing.assert_allclose(replay(asked), plain(asked), atol=1e-5)


def test_the_late_device_detects_a_missing_wait(graphs: Path, plain: Engine) -> None:
    """Without the wait, answers are wrong; this shows that the tests above can fail."""
    replay, _ = replayer(graphs, honest=False)
    asked = batch(13, 8)
    assert not np.allclose(replay(asked), plain(asked), atol=1e-5)
