"""Temperatures and review thresholds depend on the product's modalities."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from handlers.product_serving.answer import product_answer
from handlers.product_serving.calibration import calibrated_scores, review_thresholds
from handlers.product_serving.hierarchy import attribute_scores
from handlers.product_serving.scores import Scored
from handlers.product_serving.settings import Attribute, Hierarchy, OneModality, ProductSettings, present_modalities

WHOLE = ProductSettings(
    model="late",
    attributes=(
        Attribute(name="type", labels=("shoe", "boot", "shirt"), temperature=2.0, review_threshold=0.4),
        Attribute(name="kind", labels=("footwear", "apparel"), temperature=1.5, review_threshold=0.6),
    ),
    hierarchies=(Hierarchy(attributes=("type", "kind"), combinations=((0, 0), (1, 0), (2, 1)), temperature=1.2),),
)
IMAGE = OneModality(
    modality="image", temperatures=(4.0, 3.0), review_thresholds=(0.7, 0.8), hierarchy_temperatures=(2.0,)
)
FITTED = dataclasses.replace(WHOLE, one_modality=(IMAGE,))
LOGITS = np.array([[4.0, 1.0, 0.0, 2.0, -1.0]] * 3)
PRESENT = np.array([[True, True], [True, False], [False, True]])


def test_each_product_gets_the_temperatures_of_its_modalities() -> None:
    scores = calibrated_scores(LOGITS, PRESENT, FITTED)
    alone = dataclasses.replace(
        WHOLE,
        attributes=tuple(
            dataclasses.replace(each, temperature=value) for each, value in zip(WHOLE.attributes, (4, 3), strict=True)
        ),
        hierarchies=(dataclasses.replace(WHOLE.hierarchies[0], temperature=2.0),),
    )
    np.testing.assert_array_equal(scores[0], attribute_scores(LOGITS[:1], WHOLE)[0])
    np.testing.assert_array_equal(scores[1], attribute_scores(LOGITS[:1], alone)[0])
    np.testing.assert_array_equal(scores[2], scores[0])  # nothing was fitted for titles alone
    assert scores[1, 0] < scores[0, 0]


def test_scores_do_not_depend_on_the_batch() -> None:
    together = calibrated_scores(LOGITS, PRESENT, FITTED)
    for row in range(3):
        alone = calibrated_scores(LOGITS[row : row + 1], PRESENT[row : row + 1], FITTED)
        np.testing.assert_array_equal(together[row], alone[0])


def test_a_logit_that_is_no_number_stays_in_its_row() -> None:
    logits = LOGITS.copy()
    logits[1] = np.nan
    scores = calibrated_scores(logits, PRESENT, FITTED)
    assert np.isnan(scores[1]).all() and np.isfinite(scores[[0, 2]]).all()


@pytest.mark.parametrize(("modalities", "flags"), [(("image", "text"), (False, False)), (("image",), (True, True))])
def test_one_modality_has_its_own_review_threshold(modalities: tuple[str, ...], flags: tuple[bool, bool]) -> None:
    scores = np.array([0.65, 0.1, 0.25, 0.75, 0.25])
    present = np.array([name in modalities for name in ("image", "text")])
    answer = product_answer(Scored(scores, present), top_k=1, model={}, settings=FITTED)
    assert (answer["needs_review"], answer["attributes"]["kind"]["needs_review"]) == flags


def test_thresholds_depend_on_the_modalities() -> None:
    assert review_thresholds(PRESENT, FITTED).tolist() == [[0.4, 0.6], [0.7, 0.8], [0.4, 0.6]]
    assert review_thresholds(PRESENT, WHOLE).tolist() == [[0.4, 0.6]] * 3


def test_present_modalities_are_in_order() -> None:
    assert [present_modalities(row) for row in PRESENT] == [("image", "text"), ("image",), ("text",)]


def test_settings_come_back_from_their_file(tmp_path: Any) -> None:
    path = tmp_path / "settings.json"
    path.write_text(FITTED.to_json(), encoding="utf-8")
    assert ProductSettings.from_json(path) == FITTED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": (4.0,)}, "shorter"),
        ({"temperatures": (4.0, 0.0)}, "temperature"),
        ({"review_thresholds": (0.7, 1.1)}, "review_threshold"),
        ({"hierarchy_temperatures": ()}, "shorter"),
        ({"modality": "sound"}, "sound"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(WHOLE, one_modality=(dataclasses.replace(IMAGE, **changes),))
