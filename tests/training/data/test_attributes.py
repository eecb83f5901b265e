"""The attributes of a catalogue: their classes, missing values, and hierarchies."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute, Hierarchy
from training.catalog.reading import CatalogError, attribute_column
from training.data.attributes import MISSING, attribute_classes, find_hierarchies, product_targets


def heads(*sizes: int) -> list[Attribute]:
    return [Attribute(name="abcdef"[n], labels=tuple(map(str, range(size)))) for n, size in enumerate(sizes)]


def drawn(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack(columns, axis=1)


RANDOM = np.random.default_rng(0)
FINE = RANDOM.integers(0, 12, 3000)
MIDDLE, COARSE = FINE // 2, FINE // 4
NOTHING = RANDOM.integers(0, 3, 3000)


def test_classes_are_those_of_the_training_rows_and_all_else_is_missing() -> None:
    column = attribute_column("colour")
    train = pd.DataFrame({"label": ["Shoes", "Bags", "Bags", "Hats"], column: ["Red", "", "Blue", "Red"]})
    found = attribute_classes(train, ["kind", "colour"])
    assert [(each.name, each.labels) for each in found] == [
        ("kind", ("Bags", "Hats", "Shoes")),
        ("colour", ("Blue", "Red")),
    ]
    other = pd.DataFrame({"label": ["Hats", "Bags", "Shoes", "Bags"], column: ["Blue", "Green", "", "Red"]})
    targets = product_targets(other, found)
    assert targets.dtype == np.int64 and targets.tolist() == [[1, 0], [0, MISSING], [2, MISSING], [0, 1]]
    assert product_targets(other, found[:1]).tolist() == [[1], [0], [2], [0]]


def test_an_attribute_of_one_value_is_refused() -> None:
    products = pd.DataFrame({"label": ["Hats", "Bags", "Bags"], attribute_column("colour"): ["Red", "", "Red"]})
    with pytest.raises(CatalogError, match="'colour': take it out of --target"):
        attribute_classes(products, ["kind", "colour"])
    with pytest.raises(CatalogError, match=r"two classes or more, the training part has \['Hats'\] of 'kind'"):
        attribute_classes(products[:1], ["kind"])


def test_a_chain_is_found_in_any_order_and_independent_attributes_stay_out() -> None:
    [found] = find_hierarchies(drawn(FINE, NOTHING, COARSE, MIDDLE), heads(12, 3, 3, 6))
    assert found == Hierarchy(
        attributes=("a", "c", "d"), combinations=tuple((fine, fine // 4, fine // 2) for fine in range(12))
    )
    [other] = find_hierarchies(drawn(COARSE, MIDDLE, NOTHING, FINE), heads(3, 6, 3, 12))
    assert other.attributes == ("d", "a", "b")
    assert find_hierarchies(drawn(FINE, NOTHING), heads(12, 3)) == ()


@pytest.mark.parametrize(("wrong", "count"), [(0.008, 1), (0.015, 0)])
def test_ninety_nine_of_a_hundred_rows_have_to_agree(wrong: float, count: int) -> None:
    noisy = COARSE.copy()
    rows = np.arange(round(wrong * len(noisy)))
    noisy[rows] = (noisy[rows] + 1) % 3
    assert len(find_hierarchies(drawn(FINE, noisy), heads(12, 3))) == count


def test_a_value_of_nearly_all_products_depends_on_nothing() -> None:
    nearly = (np.arange(3000) % 150 == 0).astype(np.int64)
    assert find_hierarchies(drawn(FINE, nearly), heads(12, 2)) == ()


def test_values_of_a_single_product_are_no_evidence() -> None:
    assert find_hierarchies(drawn(np.arange(40), np.arange(40) % 2), heads(40, 2)) == ()


def test_values_of_a_single_product_do_not_hide_a_hierarchy() -> None:
    """Ten of 300 products are the only one of their class, as in a small catalogue."""
    fine = np.concatenate([FINE[:290], 12 + np.arange(10)])
    coarse = np.concatenate([COARSE[:290], np.arange(10) % 3])
    [found] = find_hierarchies(drawn(fine, coarse), heads(22, 3))
    assert found.combinations == tuple((each, each // 4 if each < 12 else (each - 12) % 3) for each in range(22))


@pytest.mark.parametrize(("single", "count"), [(40, 1), (60, 0)])
def test_half_of_the_products_must_share_their_value(single: int, count: int) -> None:
    fine = np.concatenate([np.arange(100 - single) % 4, 4 + np.arange(single)])
    coarse = np.concatenate([np.arange(100 - single) % 4 // 2, np.arange(single) % 2])
    assert len(find_hierarchies(drawn(fine, coarse), heads(4 + single, 2))) == count


def test_a_missing_value_comes_from_the_products_that_agree_best() -> None:
    """Sneakers have a subCategory and never a masterCategory, and most products are in Apparel."""
    types, middle, coarse = np.repeat([[0, 1, 2, 3], [0, 1, 2, 1], [0, 1, 2, MISSING]], [40, 20, 20, 10], axis=1)
    [found] = find_hierarchies(drawn(types, middle, coarse), heads(4, 3, 3))
    assert found.combinations[3] == (3, 1, 1)
    middle[types == 3] = MISSING
    [found] = find_hierarchies(drawn(types, middle, coarse), heads(4, 3, 3))
    assert found.combinations[3] == (3, 0, 0), "nothing is known of them: the most frequent"


def test_missing_values_neither_agree_nor_disagree() -> None:
    coarse = np.where(RANDOM.random(3000) < 0.3, MISSING, COARSE)
    [found] = find_hierarchies(drawn(FINE, coarse), heads(12, 3))
    assert found.combinations == tuple((fine, fine // 4) for fine in range(12))


def test_of_two_equivalent_attributes_the_first_is_the_finest() -> None:
    [found] = find_hierarchies(drawn(COARSE, (COARSE + 1) % 3, MIDDLE // 2), heads(3, 3, 3))
    assert found.attributes == ("a", "b", "c")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_hierarchy_is_valid_in_settings(data: Any) -> None:
    """For any rows: no attribute occurs twice, and each label of the finest has a combination."""
    sizes = data.draw(st.lists(st.integers(2, 5), min_size=2, max_size=4))
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    columns = [random.integers(0, size, 60) for size in sizes]
    for column in range(1, len(sizes)):
        if data.draw(st.booleans()):
            columns[column] = columns[data.draw(st.integers(0, column - 1))] % sizes[column]
    found = find_hierarchies(drawn(*columns), heads(*sizes))
    named = [name for each in found for name in each.attributes]
    assert len(set(named)) == len(named)
    for each in found:
        own = [sizes["abcdef".index(name)] for name in each.attributes]
        assert [labels[0] for labels in each.combinations] == list(range(own[0]))
        assert all(label < size for labels in each.combinations for label, size in zip(labels, own, strict=True))
