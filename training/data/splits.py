"""Split a catalogue into training, validation and test parts, stratified by label; groups may be kept whole.

Each class has a training product, because the classes come from the training part. So the only product (or the only
group) of a class is always in the training part.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from training.catalog.files import CatalogError
from training.data.groups import Integers, product_groups

__all__ = ["PARTS", "SPLIT_KINDS", "fold_products", "keep_training", "product_groups", "split_hash", "split_products"]

PARTS = ("train", "validation", "test")
SPLIT_KINDS = ("stratified", "grouped")

Mask = NDArray[np.bool_]


def split_products(
    products: pd.DataFrame,
    *,
    kind: str = "stratified",
    groups: Integers | None = None,
    test: float = 0.15,
    validation: float = 0.15,
    seed: int = 0,
) -> pd.DataFrame:
    """Divide products into three parts; equal arguments give equal parts.

    In a stratified split the count of each class is off by less than one product. A grouped split keeps groups whole
    and meets the shares approximately: the test part is one of round(1 / test) folds.

    Args:
        products: N rows with ``id`` and ``label``.
        kind: ``stratified``, or ``grouped`` to keep groups whole.
        groups: (N,) group of each product, as from :func:`product_groups`; a stratified split only records them.
        test: share of the products, 0..1.
        validation: share of the products, 0..1.

    Returns:
        N rows in the order of ``products``: ``id``, ``label``, ``part`` (one of ``PARTS``), ``group`` (int64).

    Raises:
        CatalogError: a part would be empty.
        ValueError: ``kind`` is unknown, a share is out of range, or ``groups`` has another length.
    """
    for name, share in (("test", test), ("validation", validation), ("test + validation", test + validation)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must be in (0, 1), got {share}")
    codes, units = _codes(products), _units(len(products), kind, groups)
    held_out = _cut(codes, units, test, kind=kind, seed=seed)
    parts = _with_validation(codes, units, held_out, kind=kind, share=validation, seed=seed)
    return _table(products, parts, units if groups is None else groups)


def fold_products(
    products: pd.DataFrame,
    *,
    folds: int,
    kind: str = "stratified",
    groups: Integers | None = None,
    validation: float = 0.15,
    seed: int = 0,
) -> Iterator[pd.DataFrame]:
    """Divide products for cross-validation: in the k-th split the k-th fold is the test part.

    Each product is in one test part, except the only product (or the only group) of a class.

    Args:
        products: N rows with ``id`` and ``label``.
        folds: their number, 2 or more.
        kind, groups, validation, seed: as in :func:`split_products`.

    Yields:
        Splits as from :func:`split_products`.

    Raises:
        CatalogError: a part would be empty, or there are more folds than groups, or than products in every class.
        ValueError: ``kind`` is unknown, a number is out of range, or ``groups`` has another length.
    """
    if folds < 2:
        raise ValueError(f"folds must be > 1, got {folds}")
    codes, units = _codes(products), _units(len(products), kind, groups)
    if folds > (most := _most_folds(codes, units)):
        raise CatalogError(
            f"folds must be at most {most}: no class has more products and there are no more groups, got {folds}"
        )
    for fold in _folds(codes, units, folds, kind=kind, seed=seed):
        held_out = _trainable(codes, units, fold)
        parts = _with_validation(codes, units, held_out, kind=kind, share=validation, seed=seed)
        yield _table(products, parts, units if groups is None else groups)


def keep_training(split: pd.DataFrame, *, share: float, kind: str, seed: int) -> pd.DataFrame:
    """Leave out a part of the training products, for a learning curve. Validation, test and classes stay.

    Args:
        split: N rows as from :func:`split_products`.
        share: of the training products to keep, (0, 1], in each class alike; each class keeps at least one.
        kind: of the split; a grouped one keeps or drops whole groups.

    Returns:
        The remaining rows in their order.
    """
    train = split[split["part"] == "train"]
    rows = pd.DataFrame({"label": train["label"], "unit": _units(len(train), kind, train["group"].to_numpy())})
    units = rows.drop_duplicates("unit").sample(frac=1, random_state=seed)
    classes = units.groupby("label")["unit"]
    kept = units["unit"][classes.cumcount() < (classes.transform("size") * share).round().clip(lower=1)]
    # A class can be missing if its products lie only in groups that were counted for another class.
    lost = set(rows["label"]) - set(rows["label"][rows["unit"].isin(kept)])
    wanted = rows["unit"].isin({*kept, *rows["unit"][rows["label"].isin(lost)]})
    return split.drop(index=train.index[~wanted])


def split_hash(split: pd.DataFrame) -> str:
    """Sha256 in hexadecimal over the products' ids and parts, in any order."""
    lines = sorted(json.dumps([product, part]) for product, part in zip(split["id"], split["part"], strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _codes(products: pd.DataFrame) -> Integers:
    codes = pd.factorize(products["label"], sort=True)[0].astype(np.int64)
    if len(products) == 0 or codes.max() == 0:
        raise CatalogError(f"a classifier needs two classes or more, got {sorted(set(products['label']))}")
    return codes


def _units(count: int, kind: str, groups: Integers | None) -> Integers:
    """(N,) the unit of each product that stays whole: its group in a grouped split, else the product itself."""
    if kind not in SPLIT_KINDS:
        raise ValueError(f"kind must be one of {SPLIT_KINDS}, got {kind!r}")
    if groups is not None and len(groups) != count:
        raise ValueError(f"groups must have one number for each of {count} products, got {len(groups)}")
    if kind == "stratified":
        return np.arange(count)
    if groups is None:
        raise ValueError("a grouped split needs groups: see product_groups")
    return groups


def _with_validation(
    codes: Integers, units: Integers, held_out: Mask, *, kind: str, share: float, seed: int
) -> NDArray[np.object_]:
    """(N,) the part of each product: ``held_out`` is test, ``share`` of all products is validation."""
    rest = np.flatnonzero(~held_out)
    parts = np.where(held_out, "test", "train").astype(object)
    chosen = _cut(codes[rest], units[rest], share * len(codes) / len(rest), kind=kind, seed=seed)
    parts[rest[chosen]] = "validation"
    if missing := [part for part in PARTS if part not in parts]:
        raise CatalogError(
            f"no product is left for {' and '.join(missing)}: {len(codes)} products of {codes.max() + 1} classes "
            f"in {len(np.unique(units))} groups are too few for three parts"
        )
    return parts


def _table(products: pd.DataFrame, parts: NDArray[np.object_], groups: Integers) -> pd.DataFrame:
    columns = {"id": products["id"].to_numpy(), "label": products["label"].to_numpy(), "part": parts, "group": groups}
    return pd.DataFrame(columns).astype({"id": "str", "label": "str", "part": "str", "group": "int64"})


def _cut(codes: Integers, units: Integers, share: float, *, kind: str, seed: int) -> Mask:
    """(N,) bool: about ``share`` of the products of each class, never all of them."""
    if kind == "stratified":
        return _trainable(codes, units, _systematic(codes, share, seed=seed))
    folds = min(max(2, round(1 / share)), _most_folds(codes, units))
    if folds < 2:
        return np.zeros(len(codes), dtype=bool)
    masks = [_trainable(codes, units, fold) for fold in _folds(codes, units, folds, kind=kind, seed=seed)]
    return min(masks, key=lambda mask: abs(float(mask.mean()) - share))


def _most_folds(codes: Integers, units: Integers) -> int:
    return min(int(np.bincount(codes).max()), len(np.unique(units)))


def _systematic(codes: Integers, share: float, *, seed: int) -> Mask:
    """Systematic sampling: every (1 / share)-th product of the shuffled catalogue, sorted by class.

    The total is exact, and the count of each class is off by less than one.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    steps = np.floor(np.arange(len(codes) + 1) * share + rng.random())
    chosen = np.zeros(len(codes), dtype=bool)
    chosen[order[np.diff(steps) > 0]] = True
    return chosen


def _folds(codes: Integers, units: Integers, folds: int, *, kind: str, seed: int) -> Iterator[Mask]:
    grouped = kind == "grouped"
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Classes may be smaller than the number of folds: _trainable keeps a training product of each.
        warnings.filterwarnings("ignore", message="The least populated class")
        for _, rows in splitter.split(np.zeros(len(codes)), codes, units if grouped else None):
            fold = np.zeros(len(codes), dtype=bool)
            fold[rows] = True
            yield fold


def _trainable(codes: Integers, units: Integers, chosen: Mask) -> Mask:
    """``chosen`` without the smallest group of each class that has no other products."""
    chosen = chosen.copy()
    for code in np.setdiff1d(codes[chosen], codes[~chosen]):
        if not np.any(codes[~chosen] == code):
            candidates = np.unique(units[codes == code])
            sizes = [np.count_nonzero(units == group) for group in candidates]
            chosen &= units != candidates[int(np.argmin(sizes))]
    return chosen
