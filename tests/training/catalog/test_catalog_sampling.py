"""Choosing products by class."""

from typing import Any

import pandas as pd
import pytest

from training.catalog.reading import CatalogError, sample_products


@pytest.fixture
def products() -> pd.DataFrame:
    labels = ["Caps"] * 6 + ["Shirts"] * 9 + ["Ties"] * 2
    return pd.DataFrame({"id": [str(number) for number in range(17)], "label": labels}).sample(frac=1, random_state=1)


def test_without_arguments_everything_is_kept(products: pd.DataFrame) -> None:
    chosen = sample_products(products)
    assert chosen["id"].tolist() == products["id"].tolist()
    assert chosen.index.tolist() == list(range(17))


def test_per_class_balances_and_keeps_the_order(products: pd.DataFrame) -> None:
    chosen = sample_products(products, classes=["Shirts", "Caps"], per_class=5)
    assert chosen["label"].value_counts().to_dict() == {"Caps": 5, "Shirts": 5}
    places = [products["id"].tolist().index(each) for each in chosen["id"]]
    assert places == sorted(places)


def test_the_seed_decides(products: pd.DataFrame) -> None:
    first, second, other = (
        set(sample_products(products, classes=["Shirts"], per_class=5, seed=seed)["id"]) for seed in (0, 0, 1)
    )
    assert first == second != other


def test_small_classes_are_left_out_before_drawing(products: pd.DataFrame) -> None:
    chosen = sample_products(products, min_class=6, per_class=6)
    assert chosen["label"].value_counts().to_dict() == {"Caps": 6, "Shirts": 6}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"classes": ["Caps", "Hats"]},
            r"no product has the label 'Hats'; labels are Shirts \(9\), Caps \(6\), Ties \(2\)",
        ),
        ({"per_class": 7}, r"2 classes have fewer than 7 products: Caps \(6\), Ties \(2\); lower --per-class"),
        ({"min_class": 10}, r"no class has 10 products or more; labels are Shirts \(9\)"),
        ({"per_class": 0}, "per_class must be > 0, got 0"),
        ({"min_class": -1}, "min_class must be > 0, got -1"),
    ],
)
def test_an_impossible_draw_is_an_error_that_says_why(
    products: pd.DataFrame, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        sample_products(products, **arguments)
