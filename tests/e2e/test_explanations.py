"""Explanations over HTTP: of the models we train, and of one whose reasons are known."""

import base64
from typing import Any

import httpx
import known_model as known
import numpy as np
import pytest

from client.api.errors import ServerError
from client.api.inference import ProductClient
from client.api.predictions import Explanation, Prediction

TITLE = "Marlow Men Navy Classic Running Shoes"
TEMPERATURE = known.TEMPERATURE


def test_the_word_that_decides_is_found(client: ProductClient, known_served: str) -> None:
    answer = client.explain(text="Plain red Shoes", model=known_served)
    assert answer.prediction.label == "Shoes" and answer.grid is None
    assert [word.token for word in answer.text] == ["Plain", "red", "Shoes"]
    expected = [-0.75 / TEMPERATURE, 0, 2.5 / TEMPERATURE]
    assert [word.weight for word in answer.text] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("quarter", range(4))
def test_the_quarter_that_holds_the_product_is_found(client: ProductClient, known_served: str, quarter: int) -> None:
    answer = client.explain(known.picture(known.BLUE, quarter), "red", model=known_served)
    assert answer.prediction.label == known.LABELS[known.BAG]
    expected = known.PICTURE_VOTES / 49 / TEMPERATURE * known.quarter_votes(quarter)
    np.testing.assert_allclose(answer.grid, expected, atol=1e-3)
    assert answer.modality == {"image": 1, "text": 0}


def test_every_form_of_request_is_explained(http: httpx.Client, known_served: str) -> None:
    picture, title = known.picture(known.RED, 2), "red shoe"
    product = {"image": base64.b64encode(picture).decode(), "text": title}
    path = f"/explanations/{known_served}"
    answers = [
        http.post(path, files={"image": picture}, data={"text": title}),
        http.post(path, json=product),
        http.post(f"{path}/1.0", json={"instances": [product]}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    first, second, many = (answer.json() for answer in answers)
    assert first == second == many["predictions"][0]
    assert first["modality"] == pytest.approx({"image": 0.6, "text": 0.4}, abs=1e-3)
    bare = http.post(path, content=title, headers={"Content-Type": "text/plain"}).json()
    assert bare["modality"] == {"image": 0, "text": 1}


def test_errors_stay_with_their_product(http: httpx.Client) -> None:
    products: list[Any] = [{"text": TITLE}, {"image": "%"}, {"text": TITLE, "colour": "red"}]
    answers = http.post("/explanations/intermediate", json={"instances": products}).json()["predictions"]
    assert [answer.get("type") for answer in answers] == [None, "invalid_base64", "unknown_field"]
    many = http.post("/explanations/intermediate", json={"instances": [{"text": TITLE}] * 5})
    assert (many.status_code, many.json()["type"]) == (413, "too_many_instances")


def test_an_answer_is_the_prediction_with_its_reasons(client: ProductClient, picture: bytes) -> None:
    prediction, explanation = client.predict(picture, TITLE), client.explain(picture, TITLE)
    assert isinstance(prediction, Prediction) and isinstance(explanation, Explanation)
    assert explanation.prediction.label == prediction.label
    assert explanation.prediction.score == pytest.approx(prediction.score, abs=1e-5)
    assert [word.token for word in explanation.text] == TITLE.split()
    assert np.shape(explanation.grid) == (2, 2)  # these models read 64 pixels; 224 make 7 x 7
    assert sum(explanation.modality.values()) == pytest.approx(1)
    with pytest.raises(ServerError, match="image_corrupt"):
        client.explain(picture[:200])
