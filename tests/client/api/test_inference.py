"""The client of the inference API: what it sends in each form, and what becomes of each answer."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_torchserve import FakeTorchServe

from client.api import inference
from client.api.errors import ClientError, ServerDown, ServerError, ServerTimeout
from client.api.inference import MAX_INSTANCES, Product, ProductClient
from client.api.predictions import Explanation, Prediction
from client.api.tokens import Tokens


def test_a_title_is_classified(client: ProductClient, serving: FakeTorchServe) -> None:
    answer = client.predict(text="Blue Shoes", top_k=2)
    assert (answer.label, answer.score, len(answer.top)) == ("Shoes", 0.8, 2)
    assert answer.top[0].label == "Shoes" and answer.modalities == ("text",) and not answer.needs_review
    assert answer.model["version"] == "1.0"
    assert Prediction.from_json(answer.as_dict()) == answer


@pytest.mark.parametrize("kind", [bytes, Path, str])
def test_a_picture_is_sent_as_it_is(client: ProductClient, serving: FakeTorchServe, tmp_path: Path, kind: type) -> None:
    content = bytes(range(256))
    path = tmp_path / "shoe.jpg"
    path.write_bytes(content)
    answer = client.predict(content if kind is bytes else kind(path), "Schuhe für Damen 👟 Bags")
    assert answer.modalities == ("image", "text") and answer.label == "Bags"
    assert content in serving.requests[-1].content


def test_a_version_is_asked_by_its_path(client: ProductClient, serving: FakeTorchServe) -> None:
    client.predict(text="x", model="intermediate", version="1.0")
    assert serving.calls("POST") == ["/predictions/intermediate/1.0"]


def test_names_cannot_leave_their_place_in_the_path(client: ProductClient, serving: FakeTorchServe) -> None:
    with pytest.raises(ServerError):
        client.predict(text="x", model="../models/x?y")
    assert serving.requests[-1].url.raw_path == b"/predictions/..%2Fmodels%2Fx%3Fy"


def test_an_explanation_is_the_answer_and_its_reasons(client: ProductClient, serving: FakeTorchServe) -> None:
    serving.reasons = {
        "text": [{"token": "Blue", "weight": -0.5}, {"token": "Shoes", "weight": 2}],
        "image": {"grid": [[0, 1], [2, -3]]},
        "modality": {"image": 0.25, "text": 0.75},
    }
    answer = client.explain(b"picture", "Blue Shoes", top_k=2, version="1.0")
    assert serving.calls("POST") == ["/explanations/intermediate/1.0"]
    assert answer.prediction.label == "Shoes" and len(answer.prediction.top) == 2
    assert answer.text == (("Blue", -0.5), ("Shoes", 2.0)) and answer.text[1].token == "Shoes"
    assert answer.grid == ((0.0, 1.0), (2.0, -3.0)) and answer.modality == {"image": 0.25, "text": 0.75}
    assert Explanation.from_json(answer.as_dict()) == answer


def test_without_a_picture_there_is_no_grid(client: ProductClient, serving: FakeTorchServe) -> None:
    answer = client.explain(text="Blue Shoes")
    assert answer.grid is None and Explanation.from_json(answer.as_dict()) == answer


def test_an_explanation_can_be_refused_and_can_be_no_explanation(
    client: ProductClient, serving: FakeTorchServe
) -> None:
    with pytest.raises(ServerError, match="cannot be decoded"):
        client.explain(b"broken")
    serving.reasons = {"text": [{"token": "Shoes"}]}
    with pytest.raises(ClientError, match="not one of this project's handler"):
        client.explain(text="Shoes")


def test_an_error_carries_code_type_and_message(client: ProductClient, serving: FakeTorchServe) -> None:
    with pytest.raises(ServerError, match="cannot be decoded") as caught:
        client.predict(b"broken")
    assert caught.value.as_dict() == {"code": 422, "type": "image_corrupt", "message": "image: cannot be decoded"}


def test_many_products_keep_their_order_and_their_errors(client: ProductClient, serving: FakeTorchServe) -> None:
    answers = client.predict_many([(None, "Shoes"), Product(image=b"broken"), Product(text="Bags")], top_k=1)
    kinds = [answer.label if isinstance(answer, Prediction) else answer.type for answer in answers]
    assert kinds == ["Shoes", "image_corrupt", "Bags"]
    assert isinstance(answers[0], Prediction) and len(answers[0].top) == 1


def test_more_products_than_a_request_takes_are_split(client: ProductClient, serving: FakeTorchServe) -> None:
    answers = client.predict_many(Product(text="Shoes") for _ in range(2 * MAX_INSTANCES + 1))
    assert len(answers) == 2 * MAX_INSTANCES + 1
    sizes = [len(json.loads(request.content)["instances"]) for request in serving.requests]
    assert sizes == [MAX_INSTANCES, MAX_INSTANCES, 1]


def test_longer_pictures_than_a_request_takes_are_split(
    client: ProductClient, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "MAX_BODY", 1000)
    client.predict_many([Product(image=bytes(600))] * 3)
    assert len(serving.requests) == 3


def test_no_products_ask_nothing(client: ProductClient, serving: FakeTorchServe) -> None:
    assert client.predict_many([]) == [] and not serving.requests


def test_a_picture_that_is_not_there_is_named(client: ProductClient) -> None:
    with pytest.raises(ClientError, match=r"missing\.jpg: the picture cannot be read"):
        client.predict("missing.jpg")


def raising(error: type[httpx.TransportError]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("no route", request=request)

    return httpx.MockTransport(answer)


def saying(status: int, **content: Any) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, **content))


@pytest.mark.parametrize(
    ("transport", "error", "message"),
    [
        (raising(httpx.ConnectError), ServerDown, r"no server answers at http://127\.0\.0\.1:8080 .*make serve"),
        (raising(httpx.ReadTimeout), ServerTimeout, r"did not answer within 30 s; .*python -m client ready"),
        (saying(413), ServerError, r"413 Request Entity Too Large .* 6\.5 MB"),
        (saying(503, json={"code": 503, "type": "ServiceUnavailableException", "message": "x"}), ServerError, "busy"),
        (saying(404, json={"code": 404, "type": "ModelNotFoundException", "message": "x"}), ServerError, "versions"),
        (saying(200, text="hello"), ClientError, "not JSON"),
        (saying(200, json=["Shoes"]), ClientError, "not one of this project's handler"),
        (saying(200, json={"label": "Shoes"}), ClientError, "not one of this project's handler"),
    ],
)
def test_trouble_is_a_sentence(
    transport: httpx.MockTransport, error: type[ClientError], message: str, tmp_path: Path
) -> None:
    client = ProductClient(tokens=Tokens(tmp_path / "none.json"), transport=transport)
    with pytest.raises(error, match=message):
        client.predict(text="Shoes")


def test_a_batch_that_comes_back_short_is_noticed(tmp_path: Path) -> None:
    client = ProductClient(tokens=Tokens(tmp_path / "none.json"), transport=saying(200, json={"predictions": []}))
    with pytest.raises(ClientError, match="one prediction for each product"):
        client.predict_many([Product(text="Shoes")])
