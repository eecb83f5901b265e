"""Splits: their shares, whole groups, and a training product for every class."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.catalog.reading import CatalogError, CatalogSource, read_catalog
from training.data.groups import normalised_title
from training.data.splits import (
    PARTS,
    SPLIT_KINDS,
    fold_products,
    keep_training,
    product_groups,
    split_hash,
    split_products,
)

DATA = Path(__file__).parents[4] / "shared" / "data"
Integers = NDArray[np.int64]


def products(*sizes: int) -> pd.DataFrame:
    """Shuffled products, with the given number for classes A, B, ..."""
    labels = [chr(65 + number) for number, size in enumerate(sizes) for _ in range(size)]
    frame = pd.DataFrame({"id": [f"p{number}" for number in range(len(labels))], "label": labels})
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def counts(split: pd.DataFrame) -> dict[str, list[int]]:
    """Products of each class in train, validation, test."""
    table = split.groupby(["label", "part"]).size().unstack(fill_value=0).reindex(columns=list(PARTS), fill_value=0)
    return {str(label): row.tolist() for label, row in table.iterrows()}


def test_a_balanced_catalogue_is_divided_exactly() -> None:
    assert counts(split_products(products(100, 100, 100))) == {label: [70, 15, 15] for label in "ABC"}


def test_shares_can_be_chosen() -> None:
    split = split_products(products(40, 60), test=0.25, validation=0.1, seed=3)
    assert counts(split) == {"A": [26, 4, 10], "B": [39, 6, 15]}


def test_rows_keep_the_order_of_the_products() -> None:
    frame = products(30, 20)
    split = split_products(frame)
    assert list(split.columns) == ["id", "label", "part", "group"]
    assert split[["id", "label"]].to_numpy().tolist() == frame.to_numpy().tolist()
    assert split["group"].tolist() == list(range(50))


def test_small_classes_are_in_proportion_together() -> None:
    split = split_products(products(*[3] * 100, 300))
    parts = split["part"].value_counts()
    assert parts.to_dict() == {"train": 420, "validation": 90, "test": 90}
    assert max(row[2] for row in counts(split).values() if sum(row) == 3) == 1


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_the_only_product_of_a_class_is_trained_on(kind: str) -> None:
    frame = products(40, 1, 1, 1, 1, 1, 2)
    for seed in range(10):
        split = split_products(frame, kind=kind, groups=np.arange(len(frame)), seed=seed)
        assert all(row[0] > 0 for row in counts(split).values())
        assert counts(split)["B"] == [1, 0, 0]


def test_a_group_with_the_only_products_of_a_class_is_trained_on_whole() -> None:
    frame = products(40, 3)
    groups = np.arange(len(frame))
    groups[(frame["label"] == "B").to_numpy() | (frame["id"] == "p0").to_numpy()] = 1000
    for seed in range(5):
        split = split_products(frame, kind="grouped", groups=groups, seed=seed)
        assert set(split.loc[split["group"] == 1000, "part"]) == {"train"}


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_the_seed_decides(kind: str) -> None:
    frame, groups = products(40, 60), np.arange(100) // 2
    first, same, other = (split_products(frame, kind=kind, groups=groups, seed=seed) for seed in (0, 0, 1))
    assert first.equals(same) and not first.equals(other)


def test_a_stratified_split_records_groups_and_ignores_them() -> None:
    groups = np.arange(100) // 2
    split = split_products(products(40, 60), groups=groups)
    assert split["group"].tolist() == groups.tolist()
    assert (split.groupby("group")["part"].nunique() > 1).any()
    assert split["part"].equals(split_products(products(40, 60))["part"])


def test_a_grouped_split_has_about_the_shares_asked_for() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 400, 1000)
    split = split_products(products(500, 300, 200), kind="grouped", groups=groups)
    for row in counts(split).values():
        assert np.allclose(np.array(row) / sum(row), [0.71, 0.145, 0.145], atol=0.03)


catalogues = st.lists(st.tuples(st.sampled_from("AABBCCDEFG"), st.integers(0, 25)), min_size=2, max_size=80)


@settings(deadline=None, max_examples=150)
@given(catalogues, st.sampled_from(SPLIT_KINDS), st.integers(0, 5))
def test_groups_stay_whole_no_product_is_lost_and_every_class_is_trained(
    rows: list[tuple[str, int]], kind: str, seed: int
) -> None:
    frame = pd.DataFrame({"id": [str(number) for number in range(len(rows))], "label": [label for label, _ in rows]})
    groups = np.array([group for _, group in rows])
    splits = []
    try:
        splits += [split_products(frame, kind=kind, groups=groups, seed=seed)]
        splits += fold_products(frame, folds=2, kind=kind, groups=groups, seed=seed)
    except CatalogError as error:
        assert any(word in str(error) for word in ("no product is left", "two classes", "folds must be at most"))
    for split in splits:
        assert split["id"].tolist() == frame["id"].tolist()
        assert set(split["part"]) == set(PARTS)
        assert set(split.loc[split["part"] == "train", "label"]) == set(frame["label"])
        if kind == "grouped":
            assert split.groupby("group")["part"].nunique().max() == 1


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_every_product_is_tested_in_one_fold_except_the_only_one_of_a_class(kind: str) -> None:
    frame = products(50, 30, 1)
    folds = list(fold_products(frame, folds=5, kind=kind, groups=np.arange(81) // 2, seed=1))
    tested = pd.concat([fold[fold["part"] == "test"] for fold in folds])
    assert len(folds) == 5
    assert tested["id"].is_unique
    left = frame[~frame["id"].isin(tested["id"])]
    assert "C" in set(left["label"]) and len(left) <= 2
    for fold in folds:
        assert fold["part"].value_counts()["validation"] == pytest.approx(0.15 * 81, abs=4)


def test_the_hash_depends_only_on_ids_and_parts() -> None:
    split = split_products(products(40, 60))
    assert split_hash(split) == split_hash(split.sample(frac=1, random_state=1))
    assert len(split_hash(split)) == 64
    moved = split.copy()
    moved.loc[0, "part"] = "train" if moved.loc[0, "part"] != "train" else "test"
    assert split_hash(moved) != split_hash(split)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "random"}, r"kind must be one of \('stratified', 'grouped'\), got 'random'"),
        ({"kind": "grouped"}, "needs groups"),
        ({"groups": np.zeros(3, dtype=np.int64)}, "one number for each of 100 products, got 3"),
        ({"test": 0.0}, r"test must be in \(0, 1\), got 0.0"),
        ({"test": 0.6, "validation": 0.4}, r"test \+ validation must be in \(0, 1\)"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_products(products(40, 60), **arguments)


def test_a_catalogue_that_cannot_be_divided_is_an_error_that_says_why() -> None:
    with pytest.raises(CatalogError, match=r"no product is left for validation and test: 3 products of 3 classes"):
        split_products(products(1, 1, 1))
    with pytest.raises(CatalogError, match=r"two classes or more, got \['A'\]"):
        split_products(products(50))
    with pytest.raises(CatalogError, match="folds must be at most 4"):
        list(fold_products(products(4, 3), folds=5))
    with pytest.raises(ValueError, match="folds must be > 1"):
        list(fold_products(products(4, 3), folds=1))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_a_grouped_split_of_the_real_catalogue_shares_no_title_and_no_file() -> None:
    source = CatalogSource(path=str(DATA / "fashion-product-images-224.zip"))
    catalog = read_catalog(source, check_images=False, progress=False)
    groups = product_groups(catalog, catalog.products, progress=False)
    titles = catalog.products["text"].map(normalised_title)
    grouped = split_products(catalog.products, kind="grouped", groups=groups)
    plain = split_products(catalog.products, groups=groups)
    assert grouped["part"].groupby(titles).nunique().max() == 1
    assert grouped["part"].groupby(groups).nunique().max() == 1
    assert plain["part"].groupby(titles).nunique().max() > 1
    assert grouped["part"].value_counts(normalize=True)["test"] == pytest.approx(0.15, abs=0.015)
    assert np.bincount(groups).max() < 0.01 * len(groups)


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_a_share_of_the_training_part_leaves_the_rest_alone(kind: str) -> None:
    frame = products(200, 100, 3, 1)
    groups = np.arange(len(frame)) // 2
    whole = split_products(frame, kind=kind, groups=groups)
    kept = keep_training(whole, share=0.25, kind=kind, seed=0)
    held_out = whole["part"] != "train"
    pd.testing.assert_frame_equal(kept[kept["part"] != "train"], whole[held_out])
    train, before = kept[kept["part"] == "train"], whole[~held_out]
    assert set(train["label"]) == set(before["label"])
    assert train["label"].value_counts()["A"] == pytest.approx(before["label"].value_counts()["A"] / 4, abs=4)
    if kind == "grouped":
        assert set(train["group"]).isdisjoint(before["group"][~before["id"].isin(train["id"])])


def test_a_class_that_lies_only_in_groups_of_other_classes_is_kept() -> None:
    rows = [(f"p{number}", label, "train", group) for number, (label, group) in enumerate([("A", 0), ("B", 0)] * 2)]
    rows += [(f"q{number}", "A", "train", number) for number in range(1, 40)]
    split = pd.DataFrame(rows, columns=["id", "label", "part", "group"])
    for seed in range(5):
        assert set(keep_training(split, share=0.1, kind="grouped", seed=seed)["label"]) == {"A", "B"}
