"""The linear map between two encoders: recovered from enough rows, else near the identity."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.features.alignment import align_features, fit_linear_map
from training.features.batches import Features, select_features

WIDTH = 3
TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
SHIFT = np.array([1.0, 0.0, -1.0])


def spread(count: int, *, seed: int = 0) -> NDArray[np.float16]:
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float16)


def turned(features: NDArray[np.float16]) -> NDArray[np.float16]:
    return (features @ TURN + SHIFT).astype(np.float16)


def test_a_linear_relation_is_recovered_from_blocks_of_any_size() -> None:
    rows = spread(500)
    found = fit_linear_map([(part, turned(part)) for part in np.split(rows, [7, 100])], width=WIDTH, ridge=1e-6)
    np.testing.assert_allclose(found.matrix, TURN, atol=5e-3)
    np.testing.assert_allclose(found.shift, SHIFT, atol=5e-3)


def test_without_rows_features_stay_as_they_are() -> None:
    rows = spread(5)
    np.testing.assert_array_equal(fit_linear_map([], width=WIDTH)(rows), rows)


def test_a_strong_ridge_moves_only_the_mean() -> None:
    rows = spread(200)
    found = fit_linear_map([(rows, turned(rows))], width=WIDTH, ridge=1e9)
    np.testing.assert_allclose(found.matrix, np.eye(WIDTH), atol=1e-6)
    assert found(rows).mean(0) == pytest.approx(turned(rows).mean(0), abs=5e-3)


def features(count: int, *, turn: bool, seed: int) -> Features:
    """Two cells and two tokens for each product; the second product has no picture, and misleading cells."""
    flat = spread(2 * count, seed=seed)
    flat = turned(flat) if turn else flat
    cells = flat.reshape(count, 2, WIDTH).copy()
    present = np.ones((count, 2), dtype=bool)
    present[1, 0] = False
    cells[1] = 100
    starts = 2 * np.arange(count)[None]
    letters = flat[::2].astype(np.float32)
    classes = np.zeros(count, dtype=np.int64)
    return Features(cells, flat, starts, np.full((1, count), 2), letters, starts // 2, present, classes)


def test_features_are_mapped_to_the_other_encoder(tmp_path: Path) -> None:
    source, target = (features(400, turn=turn, seed=1) for turn in (False, True))
    given, wanted = (features(30, turn=turn, seed=2) for turn in (False, True))
    aligned = align_features(given, source=source, target=target, folder=tmp_path)
    pictures = np.flatnonzero(given.present[:, 0])
    np.testing.assert_allclose(aligned.image[pictures], wanted.image[pictures], atol=0.06)
    np.testing.assert_allclose(aligned.tokens, wanted.tokens, atol=0.06)
    np.testing.assert_allclose(aligned.lexical, wanted.lexical, atol=0.06)
    assert not np.allclose(given.image[pictures], wanted.image[pictures], atol=0.06)


def test_selected_features_are_those_of_their_rows() -> None:
    whole = features(10, turn=False, seed=0)
    (image, text, mask, present, _), _ = select_features(whole, np.array([7, 1])).batch(np.array([1, 0]))
    (same_image, same_text, same_mask, same_present, _), _ = whole.batch(np.array([1, 7]))
    for found, wanted in ((image, same_image), (text, same_text), (mask, same_mask), (present, same_present)):
        np.testing.assert_array_equal(found, wanted)
