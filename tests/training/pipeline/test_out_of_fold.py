"""A cross-fitted run answers every training product once, by models that have not seen its label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.pipeline.cross_fitting import OUT_OF_FOLD_FILE
from training.pipeline.training_run import train_run
from training.run.options import TrainOptions

CHOICES = {"cross_fit": 2, "models": ("early", "late"), "head_epochs": 20, "head_rate": 1e-2, "text_epochs": 0}
Options = Callable[..., TrainOptions]


@pytest.fixture(scope="module")
def runs(options: Options) -> tuple[Path, Path]:
    """A run, and one whose training labels were all but a few drawn anew."""
    return train_run(options(**CHOICES)), train_run(options(**CHOICES, label_noise=0.9))


def test_every_training_product_is_answered_once(runs: tuple[Path, Path]) -> None:
    run, _ = runs
    split = pd.read_csv(run / "split.csv", dtype=str)
    for name in ("image", "text", "late"):
        with np.load(run / name / OUT_OF_FOLD_FILE) as saved:
            assert sorted(saved["ids"]) == sorted(split.loc[split["part"] == "train", "id"])
            np.testing.assert_allclose(saved["probabilities"].sum(1), 1, rtol=1e-5)


def test_no_label_is_known_by_heart(runs: tuple[Path, Path]) -> None:
    """A model that had seen these labels would repeat them: there is nothing else to know of them."""
    _, noisy = runs
    with np.load(noisy / "image" / OUT_OF_FOLD_FILE) as saved:
        repeated = (saved["probabilities"].argmax(1) == saved["truth"][:, 0]).mean()
        classes = saved["probabilities"].shape[1]
    assert repeated < 2 / classes + 0.1
