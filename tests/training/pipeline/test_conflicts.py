"""The conflict of picture and title: the threshold of a run, and what it does to exchanged titles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.product_serving.settings import ProductSettings
from training.features.batches import Features
from training.pipeline.conflicts import CONFLICT_FILE, _derangement, _with_titles_of


def settings_of(run: Path, model: str) -> ProductSettings:
    return ProductSettings.from_json(run / model / "settings.json")


@pytest.mark.parametrize("model", ["early", "intermediate", "late"])
def test_a_fusion_gets_a_threshold_and_its_figures(trained_run: Path, read_json: Any, model: str) -> None:
    figures = read_json(trained_run / model / CONFLICT_FILE)
    assert figures["threshold"] == settings_of(trained_run, model).conflict_threshold < 0
    assert figures["pairs"] > 0 and 0 <= figures["false_alarms"] <= figures["flagged"] <= 1


@pytest.mark.parametrize("model", ["image", "text", "lexical"])
def test_a_single_model_has_no_conflict(trained_run: Path, model: str) -> None:
    assert settings_of(trained_run, model).conflict_threshold is None
    assert not (trained_run / model / CONFLICT_FILE).exists()


@pytest.mark.parametrize("count", [2, 3, 20, 101])
def test_nothing_keeps_its_title(count: int) -> None:
    order = _derangement(count, seed=0)
    assert sorted(order) == list(range(count)) and (order != np.arange(count)).all()


def test_an_exchange_takes_all_that_is_read_of_a_title() -> None:
    numbers = np.arange(8).reshape(2, 4)
    features = Features(
        image=np.zeros((4, 1, 1), np.float16), tokens=np.zeros((1, 1), np.float16), starts=numbers,
        lengths=numbers + 10, lexical=np.zeros((1, 1), np.float32), titles=numbers + 20,
        present=np.ones((4, 2), dtype=bool), targets=np.zeros((4, 1), np.int64),
    )  # fmt: skip
    changed = _with_titles_of(features, np.array([0, 2]), np.array([2, 0]))
    assert changed.starts.tolist() == [[2, 1, 0, 3], [6, 5, 4, 7]]
    assert (changed.lengths - 10 == changed.starts).all() and (changed.titles - 20 == changed.starts).all()
    assert features.starts.tolist() == numbers.tolist()
