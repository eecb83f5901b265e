"""Which products a run uses, and the part of each: drawn by the labels of the table, so corrections move none of them.

A run with corrections then has the same test products as the run before it, and both can be compared on them.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.catalog.reading import Catalog, sample_products
from training.data.splits import fold_products, product_groups, split_products
from training.run.options import TrainOptions

_NAMED = 5


def sampled(options: TrainOptions, products: pd.DataFrame) -> pd.DataFrame:
    """The products of a catalogue that the options choose, index 0..n-1.

    Raises:
        CatalogError: see :func:`training.catalog.reading.sample_products`.
    """
    return sample_products(
        products,
        classes=options.classes or None,
        per_class=options.per_class,
        min_class=options.min_class,
        seed=options.seed,
    )


def draw_split(options: TrainOptions, catalog: Catalog, products: pd.DataFrame) -> pd.DataFrame:
    """Draw the parts of a run without cross-validation; see :func:`training.data.splits.split_products`.

    Args:
        products: the run's, with corrected labels.
    """
    given, groups = _as_given(options, catalog, products)
    split = split_products(given, kind=options.split, groups=_of(given, groups), seed=options.seed)
    return _for_products(split, products, groups, kind=options.split)


def draw_folds(
    options: TrainOptions, catalog: Catalog, products: pd.DataFrame, *, folds: int
) -> Iterator[pd.DataFrame]:
    """Draw the parts of each fold of a cross-validation; see :func:`training.data.splits.fold_products`.

    Args:
        products: the run's, with corrected labels.
    """
    given, groups = _as_given(options, catalog, products)
    for split in fold_products(given, folds=folds, kind=options.split, groups=_of(given, groups), seed=options.seed):
        yield _for_products(split, products, groups, kind=options.split)


def _as_given(
    options: TrainOptions, catalog: Catalog, products: pd.DataFrame
) -> tuple[pd.DataFrame, "pd.Series[int] | None"]:
    """The products that the run would have without corrections, and the group of each product by id."""
    given = products
    if catalog.given:
        labels = catalog.products["id"].map(catalog.given).fillna(catalog.products["label"])
        given = sampled(options, catalog.products.assign(label=labels.astype("str")))
    if options.split != "grouped":
        return given, None
    print("grouping equal titles and near-identical pictures, then splitting by groups", flush=True)
    every = pd.concat([given, products[~products["id"].isin(given["id"])]], ignore_index=True)
    return given, pd.Series(product_groups(catalog, every), index=every["id"])


def _of(products: pd.DataFrame, groups: "pd.Series[int] | None") -> NDArray[np.int64] | None:
    return None if groups is None else np.asarray(groups.loc[products["id"]], dtype=np.int64)


def _for_products(
    split: pd.DataFrame, products: pd.DataFrame, groups: "pd.Series[int] | None", *, kind: str
) -> pd.DataFrame:
    """The split of the products as given, for the products of the run.

    Those that only a correction brings in are trained on, or follow their group. A class without a training product
    becomes one of training products.
    """
    if split["id"].equals(products["id"]) and split["label"].equals(products["label"]):
        return split
    known = split.set_index("id")
    parts = products["id"].map(known["part"])
    numbers = np.arange(len(products)) if groups is None else groups.loc[products["id"]].to_numpy()
    if kind == "grouped":
        parts = parts.fillna(pd.Series(numbers).map(dict(zip(known["group"], known["part"], strict=True))))
    parts = parts.fillna("train")
    found = pd.DataFrame({"id": products["id"], "label": products["label"], "part": parts, "group": numbers})
    return _trainable(found).astype({"id": "str", "label": "str", "part": "str", "group": "int64"})


def _trainable(split: pd.DataFrame) -> pd.DataFrame:
    """The split with each class in the training part."""
    trained = set(split["label"][split["part"] == "train"])
    lacking = ~split["label"].isin(trained)
    if not lacking.any():
        return split
    names = sorted(set(split["label"][lacking]))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    print(
        f"note: classes that no training product had before the corrections are trained on and not tested: "
        f"{', '.join(names[:_NAMED])}{more}"
    )
    return split.assign(part=split["part"].mask(lacking, "train"))
