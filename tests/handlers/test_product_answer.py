"""Answers: ordered, limited to top_k, ASCII, and only finite numbers."""

import dataclasses
import json

import numpy as np
import pytest

from handlers.product_serving.answer import product_answer, serialise
from handlers.product_serving.errors import ProductError
from handlers.product_serving.scores import Scored
from handlers.product_serving.settings import Attribute, Hierarchy, ProductSettings

SETTINGS = ProductSettings(
    model="late", attributes=(Attribute(name="label", labels=("été", "b", 'c"\n', "d\ud800"), review_threshold=0.5),)
)
MODEL = {"name": "late", "version": "1.0", "backend": "onnx"}

TITLE_ALONE = np.array([False, True])


def answer(*scores: float, top_k: int = 5) -> dict[str, object]:
    return product_answer(Scored(np.array(scores), TITLE_ALONE), top_k=top_k, model=MODEL, settings=SETTINGS)


def test_the_best_comes_first_and_ties_keep_the_labels_order() -> None:
    assert answer(0.1, 0.4, 0.1, 0.4, top_k=3)["top"] == [
        {"label": "b", "score": 0.4},
        {"label": "d\ud800", "score": 0.4},
        {"label": "été", "score": 0.1},
    ]
    assert answer(0.1, 0.6, 0.2, 0.1)["label"] == "b"


def test_review_is_needed_only_below_the_threshold() -> None:
    assert answer(0.4999999, 0.2, 0.2, 0.1)["needs_review"] is True  # though it is written as 0.5
    assert answer(0.5, 0.2, 0.2, 0.1)["needs_review"] is False


def test_bodies_are_ascii_that_reads_back() -> None:
    product = answer(0.25, 0.25, 0.25, 0.25)
    status, body = serialise([product], many=False)
    assert status == 200 and body.isascii() and json.loads(body) == product


def test_an_error_sets_the_status_of_a_lone_product_only() -> None:
    error = ProductError("out_of_memory", "not enough memory")
    assert serialise([error], many=False) == (507, json.dumps(error.as_dict()))
    status, body = serialise([error, {"label": "b"}], many=True)
    assert status == 200 and json.loads(body) == {"predictions": [error.as_dict(), {"label": "b"}]}


def test_nan_is_never_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        serialise([answer(float("nan"), 0, 0, 0)], many=False)


def test_other_attributes_have_their_own_thresholds() -> None:
    gender = Attribute(name="gender", labels=("Men", "Women"), review_threshold=0.8)
    usage = Attribute(name="usage", labels=("Casual", "Sports"), review_threshold=0.2)
    several = dataclasses.replace(SETTINGS, attributes=(SETTINGS.main, gender, usage))
    scores = np.array([0.1, 0.6, 0.2, 0.1, 0.3, 0.7, 0.75, 0.25])
    several_answer = product_answer(Scored(scores, TITLE_ALONE), top_k=20, model=MODEL, settings=several)
    assert several_answer["attributes"] == {
        "gender": {"label": "Women", "score": 0.7, "needs_review": True},
        "usage": {"label": "Casual", "score": 0.75, "needs_review": False},
    }
    assert (several_answer["label"], len(several_answer["top"]), several_answer["needs_review"]) == ("b", 4, False)
    assert "attributes" not in answer(0.1, 0.6, 0.2, 0.1)


SEVERAL = ProductSettings(
    model="late",
    attributes=(
        Attribute(name="kind", labels=("boots", "sandals", "shirt"), set_threshold=0.3),
        Attribute(name="group", labels=("shoes", "clothes")),
    ),
    hierarchies=(Hierarchy(attributes=("kind", "group"), combinations=((0, 0), (1, 0), (2, 1))),),
)


@pytest.mark.parametrize(
    ("scores", "found", "within"),
    [
        ([0.5, 0.45, 0.05, 0.95, 0.05], ["boots", "sandals"], {"group": "shoes"}),
        ([0.3, 0.3, 0.4, 0.6, 0.4], ["shirt", "boots", "sandals"], None),
        ([0.9, 0.05, 0.05, 0.95, 0.05], ["boots"], None),
        ([0.29, 0.28, 0.27, 0.6, 0.4], ["boots"], None),
    ],
)
def test_a_set_holds_all_classes_from_the_threshold_on(
    scores: list[float], found: list[str], within: dict[str, str] | None
) -> None:
    given = product_answer(Scored(np.array(scores), TITLE_ALONE), top_k=1, model=MODEL, settings=SEVERAL)
    assert given["set"] == found and given.get("set_within") == within


def test_without_a_threshold_nothing_is_promised() -> None:
    assert "set" not in answer(0.5, 0.3, 0.1, 0.1)
