"""Golden products have different classes and large margins."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.golden import CANDIDATES, GOLDEN_PER_FORM, select_golden_products
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import Attribute, ProductSettings

SETTINGS = ProductSettings(model="text", attributes=(Attribute(name="label", labels=("A", "B", "C")),))
OF_WORDS = {1: (9.0, 0, 0), 2: (8.0, 0, 0), 3: (0, 2.0, 1.9), 4: (0, 3.0, 0), 5: (7.0, 0, 0)}


@pytest.fixture
def preprocessor(trained_run: Path) -> ProductPreprocessor:
    return ProductPreprocessor(SETTINGS, trained_run / "tokenizer.json")


def by_length(batch: Batch) -> NDArray[np.float32]:
    """A model that counts the words of a title."""
    words = int(batch.attention_mask.sum()) - 2
    return np.array([OF_WORDS[words]], dtype=np.float32)


def golden(preprocessor: ProductPreprocessor, *words: int, truth: str) -> list[dict[str, Any]]:
    pairs = [(None, " ".join(["-"] * number)) for number in words]
    return select_golden_products(pairs, by_length, truth=list(truth), preprocessor=preprocessor, settings=SETTINGS)


def test_two_labels_come_before_the_same_one_twice(preprocessor: ProductPreprocessor) -> None:
    found = golden(preprocessor, 1, 2, 3, 4, 5, truth="AABBA")
    assert [(entry["labels"]["label"], entry["text"].count("-")) for entry in found] == [("A", 1), ("B", 4)]


def test_a_single_label_may_occur_twice(preprocessor: ProductPreprocessor) -> None:
    found = golden(preprocessor, 5, 2, 1, truth="AAA")
    assert [entry["text"].count("-") for entry in found] == [1, 2] and len(found) == GOLDEN_PER_FORM


def test_a_rare_class_is_among_the_candidates_of_a_sorted_catalogue(preprocessor: ProductPreprocessor) -> None:
    found = golden(preprocessor, *[1] * 3 * CANDIDATES, 4, truth="A" * 3 * CANDIDATES + "B")
    assert Counter(entry["labels"]["label"] for entry in found) == {"A": 1, "B": 1}
