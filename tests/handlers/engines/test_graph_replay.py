"""Whatever the batch, replayed graphs answer as the plain graph does; the device runs as late as it may."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from late_device import LateDevice
from test_backends import batch

from handlers.product_serving.engine import Backend
from handlers.product_serving.engines.graph_replay import BATCHES, CaptureError, GraphReplayer, Size, sizes
from handlers.product_serving.engines.torchscript import TorchScriptBackend, load_graph
from handlers.product_serving.preprocessing import Batch

TOKENS = 16


@pytest.fixture(scope="module")
def plain(graphs: Path) -> Backend:
    return TorchScriptBackend(graphs / "model.pt", device="cpu", threads=1)


def replayer(graphs: Path, *, seconds: float = 60.0, **options: object) -> tuple[GraphReplayer, LateDevice]:
    device = LateDevice(load_graph(graphs / "model.pt"), **options)  # type: ignore[arg-type]
    return GraphReplayer(device, image_size=32, max_tokens=TOKENS, seconds=seconds), device


def test_sizes_are_all_of_batches_and_lengths_the_largest_first() -> None:
    assert len(sizes(32)) == len(BATCHES) * 4 and sizes(32)[0] == Size(64, 32) and sizes(32)[-1] == Size(1, 8)
    assert {size.tokens for size in sizes(20)} == {8, 16, 20}
    assert {size.tokens for size in sizes(5)} == {5}


@pytest.mark.parametrize("seed", range(3))
def test_every_batch_size_and_length_is_answered_as_by_the_plain_graph(graphs: Path, plain: Backend, seed: int) -> None:
    """One after the other on the same memory, so that what an earlier one left there would show."""
    replay, _ = replayer(graphs, seed=seed)
    every = itertools.product((1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64, 65, 130, 200), (2, 8, 9, 16))
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
    for products, tokens, graph in [(1, 3, (1, 8)), (3, 8, (4, 8)), (5, 9, (8, 16)), (64, 16, (64, 16))]:
        device.replayed.clear()
        replay(batch(products, tokens))
        assert device.replayed == [graph]


def test_beyond_the_largest_graph_uploads_run_beside_the_computing(graphs: Path) -> None:
    replay, device = replayer(graphs)
    replay(batch(64, 16))
    alone = device.most_waiting
    device.replayed.clear()
    replay(batch(150, 16))
    assert device.replayed == [(64, 16), (64, 16), (32, 16)]
    assert device.most_waiting > alone, "the second step was given to the device before the first was answered"


def test_pictures_of_the_padding_are_not_uploaded(graphs: Path) -> None:
    replay, device = replayer(graphs)
    pictures = 33 * 3 * 32 * 32
    replay(batch(33, 8))
    assert pictures < device.uploaded < 1.2 * pictures


def test_callers_at_once_get_their_own_answers(graphs: Path, plain: Backend) -> None:
    replay, _ = replayer(graphs)
    asked = [batch(products, tokens) for products in (1, 7, 30, 70) for tokens in (3, 8, 16)] * 3
    with ThreadPoolExecutor(8) as pool:
        for question, logits in zip(asked, pool.map(replay, asked), strict=True):
            np.testing.assert_allclose(logits, plain(question), atol=1e-5)


def test_where_time_runs_out_larger_graphs_answer(graphs: Path, plain: Backend) -> None:
    replay, device = replayer(graphs, seconds=0)
    assert list(replay.graphs) == [Size(64, TOKENS)]
    asked = batch(3, 4)
    np.testing.assert_allclose(replay(asked), plain(asked), atol=1e-5)
    assert device.replayed == [(64, TOKENS)]


@pytest.mark.parametrize("fails_at", [1, 5])
def test_a_capture_that_fails_says_which(graphs: Path, fails_at: int) -> None:
    size = sizes(TOKENS)[fails_at - 1]
    with pytest.raises(CaptureError, match=rf"^no graph of {size.products} products x {size.tokens} tokens: operation"):
        replayer(graphs, fails_at=fails_at)


def test_a_title_that_no_graph_holds_is_refused(graphs: Path) -> None:
    replay, _ = replayer(graphs)
    with pytest.raises(ValueError, match="titles must have at most 16 tokens, got 17"):
        replay(batch(2, 17))


def test_a_step_that_fails_leaves_the_next_batch_its_answers(
    graphs: Path, plain: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay, device = replayer(graphs)
    with monkeypatch.context() as patched:
        patched.setattr(device, "finish", lambda event: (_ for _ in ()).throw(RuntimeError("device lost")))
        with pytest.raises(RuntimeError, match="device lost"):
            replay(batch(200, 9))
    asked = batch(130, 7)
    np.testing.assert_allclose(replay(asked), plain(asked), atol=1e-5)


def test_the_late_device_shows_what_did_not_wait(graphs: Path, plain: Backend) -> None:
    """Without the one wait there is, answers are wrong: so the tests above could fail."""
    replay, _ = replayer(graphs, honest=False)
    asked: list[Batch] = [batch(130, tokens) for tokens in (3, 8, 16)]
    assert not all(np.allclose(replay(each), plain(each), atol=1e-5) for each in asked)
