"""The answers to the validation part in counts."""

import dataclasses

import numpy as np
import pytest

from handlers.product_serving.settings import Attribute, OneModality, ProductSettings
from training.scores.reference import class_weights, reference_counts

SETTINGS = ProductSettings(
    model="late",
    attributes=(
        Attribute(name="kind", labels=("Bags", "Hats", "Shoes"), review_threshold=0.6),
        Attribute(name="sex", labels=("Men", "Women")),
    ),
    one_modality=(OneModality(modality="text", temperatures=(1.0, 1.0), review_thresholds=(0.9, 0.0)),),
)
SCORES = np.array(
    [[0.7, 0.2, 0.1, 0.5, 0.5], [0.1, 0.1, 0.8, 0.9, 0.1], [0.5, 0.4, 0.1, 0.2, 0.8], [1.0, 0.0, 0.0, 0.2, 0.8]],
    dtype=np.float32,
)
PRESENT = np.array([[True, True], [False, True], [True, True], [True, False]])


def test_answers_are_counted_as_a_server_counts_them() -> None:
    found = reference_counts(SCORES, PRESENT, SETTINGS)
    assert found["products"] == 4 and found["labels"] == {"Bags": 3, "Hats": 0, "Shoes": 1}
    assert found["modalities"] == {"both": 2, "text": 1, "image": 1}
    assert found["unsure"] == 2, "0.8 is below the threshold of a title alone, 0.5 below that of both"
    assert found["scores"] == [0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1] and sum(found["scores"]) == 4


def test_a_model_reads_only_its_own_modality() -> None:
    alone = dataclasses.replace(SETTINGS, modalities=("text",), one_modality=())
    assert reference_counts(SCORES[:2], PRESENT[:2], alone)["modalities"] == {"text": 2}


def test_classes_get_the_shares_of_all_products() -> None:
    truth, every = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1, 1, 1, 2, 2])
    weights = class_weights(truth, every)
    assert weights.sum() == pytest.approx(4)
    assert weights[3] / weights[:3].sum() == pytest.approx(2), "class 1 has twice the products of class 0"
    counted = reference_counts(SCORES, PRESENT, SETTINGS, weights)
    assert sum(counted["labels"].values()) == pytest.approx(4, abs=0.01)


def test_a_product_without_a_known_class_has_the_weight_1() -> None:
    assert class_weights(np.array([-1, 0]), np.array([0, 0, -1])).tolist() == [1, 1]
    assert class_weights(np.array([-1]), np.array([0])).tolist() == [1]
