"""The conflict of picture and title: its threshold, and what it does to exchanged titles."""

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from torch import Tensor

from training.features.batches import Features
from training.models.head import Head
from training.pipeline.conflicts import FALSE_ALARMS, LEAST_PAIRS, _derangement, _with_titles_of, fit_conflict
from training.system.device import choose_device

CLASSES, PRODUCTS, VALIDATION = 5, 3000, 1500
RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, CLASSES, PRODUCTS)


class TwoVotes(Head):
    """A fusion whose single models read their logits from the features."""

    sizes = (CLASSES,)
    towers: ClassVar[tuple[str, ...]] = ("image", "text")

    def single_answers(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {"image": image[:, 0], "text": text[:, 0]}


class OneVote(TwoVotes):
    towers: ClassVar[tuple[str, ...]] = ("text",)


def votes(sure: float, right: float) -> np.ndarray:
    """(N, C) logits: sure of the right class, or of another one."""
    named = np.where(RANDOM.random(PRODUCTS) < right, TRUTH, (TRUTH + 1) % CLASSES)
    noise = RANDOM.normal(0, 1, (PRODUCTS, CLASSES))
    return (sure * np.eye(CLASSES)[named] + noise).astype(np.float16)


def features() -> Features:
    numbers = np.arange(PRODUCTS)[None]
    return Features(
        image=votes(6, 0.995)[:, None], tokens=votes(8, 0.995), starts=numbers, lengths=np.ones_like(numbers),
        lexical=np.zeros((1, 0), np.float32), titles=0 * numbers, present=np.ones((PRODUCTS, 2), dtype=bool),
        targets=TRUTH[:, None],
    )  # fmt: skip


def run(validation: int = VALIDATION) -> Any:
    rows = np.arange(PRODUCTS)
    parts = {"validation": rows[:validation], "test": rows[VALIDATION:]}
    data = SimpleNamespace(held_out=rows, rows=parts.__getitem__, options=SimpleNamespace(seed=0))
    return SimpleNamespace(data=data, device=choose_device("fp32"))


def test_true_pairs_pass_and_exchanged_titles_of_other_classes_are_flagged() -> None:
    found = fit_conflict(run(), TwoVotes(), features())
    assert found is not None and found.threshold < 0 and found.pairs == PRODUCTS - VALIDATION
    assert found.false_alarms == pytest.approx(FALSE_ALARMS, abs=0.01)
    # A fifth of the others has the same class.
    assert found.false_alarms < found.flagged < found.flagged_classes and found.flagged_classes > 0.5


def test_a_model_of_one_modality_has_no_conflict() -> None:
    assert fit_conflict(run(), OneVote(), features()) is None


def test_too_few_pairs_tell_nothing() -> None:
    assert fit_conflict(run(LEAST_PAIRS - 1), TwoVotes(), features()) is None
    assert fit_conflict(run(LEAST_PAIRS), TwoVotes(), features()) is not None


@pytest.mark.parametrize("count", [2, 3, 20, 101])
def test_nothing_keeps_its_title(count: int) -> None:
    order = _derangement(count, seed=0)
    assert sorted(order) == list(range(count)) and (order != np.arange(count)).all()


def test_an_exchange_takes_all_that_is_read_of_a_title() -> None:
    numbers = np.arange(8).reshape(2, 4)
    whole = Features(
        image=np.zeros((4, 1, 1), np.float16), tokens=np.zeros((1, 1), np.float16), starts=numbers,
        lengths=numbers + 10, lexical=np.zeros((1, 1), np.float32), titles=numbers + 20,
        present=np.ones((4, 2), dtype=bool), targets=np.zeros((4, 1), np.int64),
    )  # fmt: skip
    changed = _with_titles_of(whole, np.array([0, 2]), np.array([2, 0]))
    assert changed.starts.tolist() == [[2, 1, 0, 3], [6, 5, 4, 7]]
    assert (changed.lengths - 10 == changed.starts).all() and (changed.titles - 20 == changed.starts).all()
    assert whole.starts.tolist() == numbers.tolist()
