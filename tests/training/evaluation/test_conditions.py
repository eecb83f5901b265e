"""The table of conditions, and the titles and pictures that they remove."""

import numpy as np
import pandas as pd
import pytest

from training.evaluation.conditions import (
    CLEAN,
    CONDITIONS,
    PICTURE_DAMAGE,
    TITLE_DAMAGE,
    Condition,
    damaged_titles,
    hidden_modalities,
)


def products(count: int = 40) -> pd.DataFrame:
    """Every tenth has no picture, every tenth no title."""
    labels = ["Shirts", "Shoes"] * (count // 2)
    return pd.DataFrame(
        {
            "id": [str(number) for number in range(count)],
            "image": ["" if number % 10 == 0 else f"{number}.jpg" for number in range(count)],
            "text": ["" if number % 10 == 1 else f"Blue {label} {number}" for number, label in enumerate(labels)],
            "label": labels,
        }
    )


def test_the_table_is_sound() -> None:
    names = [condition.name for condition in CONDITIONS]
    assert names[0] == CONDITIONS[0].kind == CLEAN
    assert len(set(names)) == len(names)
    assert {condition.title for condition in CONDITIONS} == {"", *TITLE_DAMAGE}
    assert {condition.picture for condition in CONDITIONS} == {"", *PICTURE_DAMAGE}
    assert all(condition.no_title + condition.no_picture <= 1 for condition in CONDITIONS)
    kinds = [condition.kind for condition in CONDITIONS]
    assert all(condition.tick for condition in CONDITIONS if kinds.count(condition.kind) > 1)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
@pytest.mark.parametrize("count", [2, 28, 40])  # of 28 products 23 have picture and title, and half of them is 11.5
def test_no_product_loses_picture_and_title(condition: Condition, count: int) -> None:
    table = products(count)
    hidden = hidden_modalities(condition, table, seed=3)
    titles = table["text"] if not condition.title else damaged_titles(condition.title, table, seed=3)
    has_title = np.array([bool(title) for title in titles]) & ~hidden[:, 1]
    has_picture = (table["image"] != "").to_numpy() & ~hidden[:, 0]
    assert (has_title | has_picture).all()


def test_shares_are_exact_and_grow_from_the_same_products() -> None:
    table = products()  # 32 have both
    previous = np.zeros((40, 2), dtype=bool)
    for share, count in ((0.25, 8), (0.5, 16), (0.75, 24), (1.0, 32)):
        hidden = hidden_modalities(Condition("x", no_title=share), table, seed=0)
        assert hidden.sum(0).tolist() == [0, count]
        assert (previous <= hidden).all()
        previous = hidden
    assert hidden_modalities(Condition("x", no_title=0.5, no_picture=0.5), table, seed=0).sum(0).tolist() == [16, 16]
    assert not hidden_modalities(CONDITIONS[0], table, seed=0).any()


def test_what_is_taken_does_not_depend_on_the_order_of_the_products() -> None:
    table, condition = products(), Condition("x", no_title=0.25, no_picture=0.5)
    shuffled = table.sample(frac=1, random_state=0)
    again = pd.DataFrame(hidden_modalities(condition, shuffled, seed=0), index=shuffled.index).sort_index().to_numpy()
    assert np.array_equal(again, hidden_modalities(condition, table, seed=0))
    assert not np.array_equal(again, hidden_modalities(condition, table, seed=1))


@pytest.mark.parametrize("key", TITLE_DAMAGE)
def test_damaged_titles_do_not_depend_on_the_order_of_the_products(key: str) -> None:
    table = products()
    shuffled = table.sample(frac=1, random_state=0)
    again = pd.Series(damaged_titles(key, shuffled, seed=0), index=shuffled.index).sort_index().tolist()
    assert again == damaged_titles(key, table, seed=0) != table["text"].tolist()


def test_a_product_without_a_picture_keeps_what_title_it_has() -> None:
    table = pd.DataFrame(
        {"id": ["a", "b", "c"], "image": ["", "b.jpg", "c.jpg"], "text": ["Shirt", "Shirt", "Blue Shoe"],
         "label": ["Shirts", "Shirts", "Shoes"]}
    )  # fmt: skip
    assert damaged_titles("without label", table, seed=0) == ["Shirt", "", "Blue"]
    assert damaged_titles("swapped", table, seed=0) == ["Shirt", "Blue Shoe", "Shirt"]
