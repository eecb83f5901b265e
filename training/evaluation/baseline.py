"""The baseline of a run, TF-IDF and a linear SVM: fitted again on the run's training titles, to answer other titles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute
from training.catalog.reading import CatalogError, read_catalog
from training.data.attributes import product_targets
from training.data.label_noise import damage_labels
from training.run.checkpoint import RunError
from training.run.record import RunRecord
from training.scores.baseline import fit_predict


class BaselineMissing(Exception):
    """The training titles are not available; the message gives the reason."""


def read_split(run: Path) -> pd.DataFrame:
    """``id``, ``label``, ``part`` of every product of a run, in the run's order; all str.

    Raises:
        RunError: the file is missing or broken.
    """
    path = run / "split.csv"
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)[["id", "label", "part"]]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path} cannot be read ({error}): train the run again") from error


def baseline_answers(
    run: Path, record: RunRecord, titles: Sequence[Sequence[str]], *, attributes: Sequence[Attribute]
) -> list[NDArray[np.int64]]:
    """Fit the baseline once and answer every list of titles.

    Args:
        titles: V lists of N titles.
        attributes: A attributes of the run, the main one first.

    Returns:
        V arrays of classes (N, A).

    Raises:
        BaselineMissing: the run's catalogue is missing or has changed.
    """
    products = _training_rows(run, record)
    distinct = sorted({title for form in titles for title in form})
    predicted = fit_predict(products["text"].tolist(), product_targets(products, attributes), distinct)
    place = {title: row for row, title in enumerate(distinct)}
    return [predicted[[place[title] for title in form]] for form in titles]


def _training_rows(run: Path, record: RunRecord) -> pd.DataFrame:
    """The training products, with the labels used in training."""
    try:
        products = read_catalog(record.source, check_images=False, max_rejected=1.0, progress=False).products
    except CatalogError as error:
        raise BaselineMissing(f"the run's catalogue cannot be read: {error}") from error
    split = read_split(run)
    train = split[split["part"] == "train"]
    if gone := sorted(set(train["id"]) - set(products["id"])):
        raise BaselineMissing(
            f"{record.source.path} lacks {len(gone)} of the {len(train)} training products, such as {gone[0]!r}"
        )
    labels = train["label"].tolist()
    if noise := record.arguments["label_noise"]:
        labels = damage_labels(labels, share=noise, seed=record.seed).tolist()
    return products.set_index("id").loc[train["id"]].assign(label=labels)
