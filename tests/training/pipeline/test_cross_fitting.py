"""Training rows are divided by groups, and every row of the joined features is what its own encoder answered."""

import numpy as np
import pandas as pd
import pytest

from training.data.dataset import EpochSampler
from training.features.batches import FeatureBatches, Features, JoinedRows, join_features
from training.pipeline.cross_fitting import training_parts


@pytest.fixture
def split() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"part": random.choice(["train", "validation", "test"], 600, p=[0.7, 0.15, 0.15]), "group": np.arange(600) // 3}
    )


def test_parts_hold_each_training_row_once_and_no_group_twice(split: pd.DataFrame) -> None:
    parts = training_parts(split, parts=3, seed=0)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(split["part"] == "train"))
    groups = [set(split["group"].iloc[rows]) for rows in parts]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    assert min(map(len, parts)) > 0.8 * max(map(len, parts))


def test_the_seed_decides_the_parts(split: pd.DataFrame) -> None:
    first, again, other = (training_parts(split, parts=2, seed=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def features(value: float, rows: int, *, forms: int = 1) -> Features:
    """Rows of one cell and two tokens; what they hold tells where they come from."""
    numbers = value + np.arange(rows) / 8
    return Features(
        image=numbers.astype(np.float16).reshape(rows, 1, 1),
        tokens=np.repeat(numbers, 2 * forms).astype(np.float16).reshape(-1, 1),
        starts=np.arange(rows)[None] * 2 * forms + 2 * np.arange(forms)[:, None],
        lengths=np.full((forms, rows), 2),
        lexical=np.repeat(numbers, forms).astype(np.float32)[:, None],
        titles=np.arange(rows)[None] * forms + np.arange(forms)[:, None],
        present=np.ones((rows, 2), dtype=bool),
        targets=np.arange(rows) + int(value),
    )


def test_joined_rows_are_those_of_their_part() -> None:
    joined = join_features([(np.array([4, 0]), features(10, 2)), (np.array([1, 2, 3]), features(20, 3))], count=5)
    (image, text, _, _, lexical), targets = joined.batch(np.array([0, 1, 4, 3]))
    assert image[:, 0, 0].tolist() == [10.125, 20.0, 10.0, 20.25]
    assert text[:, 1, 0].tolist() == lexical[:, 0].tolist() == image[:, 0, 0].tolist()
    assert targets.tolist() == [11, 20, 10, 22]


@pytest.mark.parametrize("rows", [[0, 1], [0, 0, 1], [0, 1, 3]])
def test_rows_that_do_not_fit_are_refused(rows: list[int]) -> None:
    with pytest.raises(ValueError, match="each of 3 rows once"):
        join_features([(np.array(rows), features(1, len(rows)))], count=3)


def test_rows_of_several_arrays_read_as_one() -> None:
    rows = JoinedRows(
        [np.array([[1.0]], np.float16), np.array([[2.0], [3.0]], np.float16)], np.array([1, 0, 1]), np.array([1, 0, 0])
    )
    assert rows[np.array([0, 1, 2, 0])].ravel().tolist() == [3.0, 1.0, 2.0, 3.0]


def test_training_reads_damaged_titles_as_often_as_asked() -> None:
    two_forms = features(1, 400, forms=2)
    shifted = Features(**{**vars(two_forms), "tokens": two_forms.tokens.copy()})
    for row in range(400):
        shifted.tokens[two_forms.starts[1, row]] = -1
    rows = np.arange(400)
    batches = FeatureBatches(
        shifted, rows, sampler=EpochSampler(np.ones(400, np.int64), batch_size=50), damage_titles=0.3
    )
    damaged = np.mean([float((inputs[1][:, 0, 0] == -1).float().mean()) for inputs, _ in batches])
    assert abs(damaged - 0.3) < 0.07
    form = FeatureBatches(shifted, rows, batch_size=50, form=1)
    assert all((inputs[1][:, 0, 0] == -1).all() for inputs, _ in form)
    plain = FeatureBatches(shifted, rows, batch_size=50)
    assert all((inputs[1][:, 0, 0] != -1).all() for inputs, _ in plain)
