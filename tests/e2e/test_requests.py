"""Every form of request over HTTP, and what TorchServe itself says to requests that never reach the handler."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from client.api.inference import Product, ProductClient
from client.api.predictions import Prediction
from client.server.config import ServerConfig

TITLE = "Marlow Men Navy Classic Running Shoes"
MANY = 1000
FORM = "multipart/form-data; boundary=x"


def ask(http: httpx.Client, path: str = "/predictions/intermediate", **request: Any) -> dict[str, Any]:
    response = http.post(path, **request)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal answers, the scores within 1e-5."""
    scores = zip(one["top"], other["top"], strict=True)
    close = all(a["label"] == b["label"] and abs(a["score"] - b["score"]) <= 1e-5 for a, b in scores)
    return close and all(one[name] == other[name] for name in ("label", "modalities", "needs_review", "model"))


def test_a_form_and_json_get_the_same_answer(http: httpx.Client, picture: bytes) -> None:
    form = ask(http, files={"image": ("shoe.jpg", picture, "image/jpeg")}, data={"text": TITLE, "top_k": "3"})
    assert len(form["top"]) == 3 and form["modalities"] == ["image", "text"]
    assert form["model"]["name"] == "intermediate" and form["model"]["version"] == "1.0"
    encoded = base64.b64encode(picture).decode()
    for image in (encoded, f"data:image/jpeg;base64,{encoded}"):
        assert same(ask(http, json={"image": image, "text": TITLE, "top_k": 3}), form)


def test_a_bare_title_is_a_title(http: httpx.Client) -> None:
    bare = ask(http, content=TITLE.encode(), headers={"Content-Type": "text/plain"})
    assert bare["modalities"] == ["text"]
    assert same(ask(http, json={"text": TITLE}), bare)
    assert same(ask(http, data={"text": TITLE}), bare)


def test_a_bare_picture_is_a_picture(http: httpx.Client, picture: bytes) -> None:
    bare = ask(http, content=picture, headers={"Content-Type": "image/jpeg"})
    assert bare["modalities"] == ["image"]
    assert same(ask(http, files={"image": picture}), bare)
    put = http.put("/predictions/intermediate", content=picture)  # what `curl -T` sends
    assert same(put.json(), bare)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_every_format_is_read(http: httpx.Client, encoded: Callable[[str], bytes], kind: str) -> None:
    bare = ask(http, content=encoded(kind.upper()), headers={"Content-Type": f"image/{kind}"})
    jpeg = ask(http, content=encoded("PNG"), headers={"Content-Type": "image/png"})
    assert same(bare, jpeg)


def test_instances_are_answered_one_by_one(http: httpx.Client, picture: bytes) -> None:
    products: list[Any] = [{"text": TITLE}, {"image": "%"}, {"image": base64.b64encode(picture).decode(), "top_k": 1}]
    answers = ask(http, json={"instances": products})["predictions"]
    assert [answer.get("type") for answer in answers] == [None, "invalid_base64", None]
    assert same(answers[0], ask(http, json=products[0])) and same(answers[2], ask(http, json=products[2]))


def test_a_version_is_asked_by_its_path(http: httpx.Client) -> None:
    assert ask(http, "/predictions/intermediate/1.0", json={"text": TITLE})["model"]["version"] == "1.0"


@pytest.mark.parametrize(
    ("request_", "code", "type_"),
    [
        ({"json": {}}, 400, "missing_field"),
        ({"json": {"text": "x", "colour": "red"}}, 400, "unknown_field"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "invalid_json"),
        ({"json": {"text": "x", "top_k": 0}}, 400, "out_of_range"),
        ({"json": {"text": "x" * 100_000}}, 413, "text_too_long"),
        ({"json": {"instances": [{"text": "x"}] * 65}}, 413, "too_many_instances"),
        ({"content": b"%PDF-1.7", "headers": {"Content-Type": "image/jpeg"}}, 415, "unsupported_image"),
        ({"content": b"\xff\xd8\xff\xe0 no more", "headers": {"Content-Type": "image/jpeg"}}, 422, "image_corrupt"),
    ],
)
def test_errors_carry_code_and_type(http: httpx.Client, request_: dict[str, Any], code: int, type_: str) -> None:
    response = http.post("/predictions/intermediate", **request_)
    answer = response.json()
    assert (response.status_code, answer["code"], answer["type"]) == (code, code, type_)


def test_one_bad_product_fails_alone(client: ProductClient, picture: bytes) -> None:
    """Eight at once land in the same batches; the good ones get what they get alone."""
    products = [(picture, TITLE), (None, TITLE), (picture[:200], TITLE), (picture, None)] * 2
    alone = [answer_to(client, *product) for product in products]
    with ThreadPoolExecutor(len(products)) as pool:
        rounds = [list(pool.map(lambda product: answer_to(client, *product), products)) for _ in range(5)]
    assert [answer.get("type") for answer in alone] == [None, None, "image_corrupt", None] * 2
    for answers in rounds:
        for answer, expected in zip(answers, alone, strict=True):
            assert same(answer, expected) if "top" in expected else answer == expected


def answer_to(client: ProductClient, image: bytes | None, text: str | None) -> dict[str, Any]:
    [answer] = client.predict_many([Product(image, text)])
    return answer.as_dict()


def test_the_client_gets_what_curl_gets(client: ProductClient, http: httpx.Client, picture: bytes) -> None:
    title = "Schuhe für Damen 👟\n"
    answer = client.predict(picture, title, top_k=2)
    expected = ask(http, json={"image": base64.b64encode(picture).decode(), "text": title, "top_k": 2})
    assert same(answer.as_dict(), expected)


def test_many_products_are_answered(client: ProductClient) -> None:
    answers = client.predict_many(Product(text=f"{TITLE} {number}") for number in range(MANY))
    assert len(answers) == MANY and all(isinstance(answer, Prediction) for answer in answers)


# What TorchServe answers by itself, before any handler; pinned, because callers meet it.


@pytest.mark.parametrize(
    ("method", "path", "code", "type_"),
    [
        ("POST", "/predictions/nope", 404, "ModelNotFoundException"),
        ("POST", "/predictions/intermediate/1", 404, "ModelVersionNotFoundException"),
        ("POST", "/predictions", 404, "ResourceNotFoundException"),
        ("GET", "/nope", 404, "ResourceNotFoundException"),
        ("GET", "/models", 404, "ResourceNotFoundException"),
    ],
)
def test_wrong_routes_are_not_found(http: httpx.Client, method: str, path: str, code: int, type_: str) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.json()["type"]) == (code, type_)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_any_method_is_a_prediction(http: httpx.Client, method: str) -> None:
    """TorchServe looks at no method here: a request without a body is a product without fields."""
    response = http.request(method, "/predictions/intermediate")
    assert response.status_code == 400 and response.json()["type"] == "missing_field"


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/models"), ("POST", "/models/intermediate"), ("GET", "/")])
def test_wrong_methods_of_the_management_api_are_refused(config: ServerConfig, method: str, path: str) -> None:
    headers = config.tokens().headers("management")
    response = httpx.request(method, config.management_url + path, headers=headers)
    assert (response.status_code, response.json()["type"]) == (405, "MethodNotAllowedException")


def test_a_request_over_the_limit_is_refused(http: httpx.Client) -> None:
    response = http.post("/predictions/intermediate", content=bytes(6_553_501), headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 413 and not response.content


@pytest.mark.parametrize(
    ("content_type", "body", "code", "type_"),
    [
        ("multipart/form-data", b"no boundary", 400, "unknown_field"),
        (FORM, b"", 400, "missing_field"),
        (FORM, b"--y\r\n\r\nanother boundary", 400, "missing_field"),
        (FORM, b"--x\r\nContent-Disp", 400, "missing_field"),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nno end', 400, "missing_field"),
        (FORM, b"--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n", 500, "ErrorDataDecoderException"),
    ],
)
def test_a_malformed_form_is_an_error_and_the_server_lives(
    http: httpx.Client, content_type: str, body: bytes, code: int, type_: str
) -> None:
    response = http.post("/predictions/intermediate", content=body, headers={"Content-Type": content_type})
    assert (response.status_code, response.json()["type"]) == (code, type_), response.text
    assert ask(http, json={"text": TITLE})["label"]
