"""The OpenAPI document is that of the code, and the handler's real answers and refusals fit it."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pictures import draw, encode
from serving import TITLES, Worker, b64, document, form

from client.server.openapi import openapi, openapi_yaml
from handlers.product_serving.errors import ERROR_CODES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"
PICTURE = encode(draw())
DOCUMENT = openapi()
PREDICT = DOCUMENT["paths"]["/predictions/{model}"]["post"]
EXPLAIN = DOCUMENT["paths"]["/explanations/{model}"]["post"]


def check(value: Any, schema: Any) -> None:
    """Validate against a schema of the document, whose references point into it."""
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def answer_schema(operation: Any, status: int) -> Any:
    return operation["responses"][str(status)]["content"]["application/json"]["schema"]


def test_the_page_is_the_document() -> None:
    assert PAGE.read_text(encoding="utf-8") == openapi_yaml(), (
        "run `python -m client openapi > docs/reference/openapi.yaml`"
    )
    assert yaml.safe_load(openapi_yaml()) == DOCUMENT


def test_its_schemas_are_valid() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "body",
    [
        {"text": TITLES[0]},
        {"image": b64(PICTURE), "top_k": 2},
        {"image": b64(PICTURE), "text": TITLES[1], "effort": "full"},
        {"instances": [{"text": TITLES[0]}, {"image": b64(PICTURE[:99])}]},
    ],
)
def test_good_requests_and_their_answers_fit(worker: Worker, body: dict[str, Any]) -> None:
    check(body, PREDICT["requestBody"]["content"]["application/json"]["schema"])
    [answer] = worker.ask(document(body))
    check(answer.json, answer_schema(PREDICT, answer.status))


@pytest.mark.parametrize("fields", [{"text": TITLES[0]}, {"image": PICTURE}, {"image": PICTURE, "text": TITLES[0]}])
def test_explanations_fit(worker: Worker, fields: dict[str, Any]) -> None:
    headers, parts = form(**fields)
    [answer] = worker.ask(({**headers, "explain": "True"}, parts))
    check(answer.json, answer_schema(EXPLAIN, 200))


@pytest.mark.parametrize(
    "body",
    [{}, {"title": "x"}, {"text": TITLES[0], "top_k": 0}, {"text": TITLES[0], "effort": "most"}, {"instances": []}],
)
def test_bad_requests_fit_neither_the_document_nor_the_handler(worker: Worker, body: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(body, PREDICT["requestBody"]["content"]["application/json"]["schema"])
    [answer] = worker.ask(document(body))
    assert answer.status == 400
    check(answer.json, answer_schema(PREDICT, 400))


def test_every_error_of_the_handler_is_named() -> None:
    for kind, code in ERROR_CODES.items():
        assert kind in PREDICT["responses"][str(code)]["description"]
