"""The inference API in OpenAPI 3.1, made of the handler's own fields, limits, errors and reasons.

``python -m client openapi`` prints it; ``docs/reference/openapi.yaml`` holds it.
"""

from collections import defaultdict
from typing import Any

import yaml

from handlers.product_serving.answer import REASONS, TOWER_READS
from handlers.product_serving.errors import ERROR_CODES
from handlers.product_serving.request import EFFORTS, FIELDS
from handlers.product_serving.settings import MODALITIES, Attribute, ProductSettings

LIMITS = ProductSettings(model="any", attributes=(Attribute(name="label", labels=("any",)),))  # the defaults
EXPLAIN_NOTE = "As a prediction, with a weight for each word and each part of the picture."
FRONT_END = {
    "400": "no token, a wrong one, or no HTTP/1.1",
    "404": "no such model or version",
    "413": "the request is too long; no body",
    "503": "the queue is full, or no worker is left: try again later",
}
Schema = dict[str, Any]


def openapi_yaml() -> str:
    """The document as YAML."""
    return yaml.safe_dump(openapi(), sort_keys=False, allow_unicode=True, width=120)


def openapi() -> Schema:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Product classifier on TorchServe",
            "version": "1.0",
            "summary": "Classify products by picture and title.",
            "description": "The routes of the inference address; http-api.md explains them. A request of many products "
            "answers 200, and each product carries its own error.",
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "security": [{"token": []}],
        "paths": {
            f"/{route}/{{model}}{version}": {"post": _operation(route, version)}
            for route in ("predictions", "explanations")
            for version in ("", "/{version}")
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _operation(route: str, version: str) -> Schema:
    explains = route == "explanations"
    names = ["model", *(["version"] if version else [])]
    answer = "Explanation" if explains else "Prediction"
    return {
        "operationId": ("explain" if explains else "predict") + ("Version" if version else ""),
        "summary": EXPLAIN_NOTE if explains else "The most probable classes of a product, or of several.",
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "requestBody": {
            "required": True,
            "content": _bodies(LIMITS.max_explained if explains else LIMITS.max_instances),
        },
        "responses": {"200": _json({"oneOf": [_ref(answer), _many(answer)]}, "answered"), **_errors()},
    }


def _bodies(most: int) -> Schema:
    instances = {"type": "array", "minItems": 1, "maxItems": most, "items": _ref("Product")}
    many = _object({"instances": instances})
    form = {"schema": _ref("ProductForm")}
    return {
        "application/json": {"schema": {"oneOf": [_ref("Product"), many]}},
        "multipart/form-data": form,
        "application/x-www-form-urlencoded": form,
        "text/plain": {"schema": {"type": "string", "maxLength": LIMITS.max_text_chars}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    }


def _errors() -> Schema:
    types = defaultdict[str, list[str]](list)
    for kind, code in ERROR_CODES.items():
        types[str(code)].append(kind)
    words = {status: ", ".join(kinds) for status, kinds in types.items()}
    for status, note in FRONT_END.items():
        words[status] = "; ".join(filter(None, (words.get(status), f"of TorchServe: {note}")))
    return {code: _json(_ref("Error"), words[code]) for code in sorted(words)}


def _schemas() -> Schema:
    score = {"type": "number", "minimum": 0, "maximum": 1}
    scored = {"label": {"type": "string"}, "score": score}
    towers, modalities, reasons = (
        {"type": "array", "items": {"enum": list(values)}} for values in (TOWER_READS, MODALITIES, REASONS)
    )
    attribute = _object({**scored, "needs_review": {"type": "boolean"}})
    prediction = {
        **scored,
        "top": {"type": "array", "minItems": 1, "items": _object(scored)},
        "modalities": modalities,
        "needs_review": {"type": "boolean"},
        "review": reasons,
        "model": _object({name: {"type": "string"} for name in ("name", "version", "backend", "backend_reason")}),
    }
    optional = {
        "set": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "set_within": {"type": "object", "additionalProperties": {"type": "string"}},
        "attributes": {"type": "object", "additionalProperties": attribute},
        "computed": towers,
        "early": {"type": "boolean"},
        "not_read": modalities,
    }
    text, number, whole = ({"type": kind} for kind in ("string", "number", "integer"))
    word = {"token": text, "weight": number, "begins": whole, "ends": whole}
    grid = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
    explanation = {
        "text": {"type": "array", "items": _object(word)},
        "image": {"oneOf": [{"type": "null"}, _object({"grid": grid})]},
        "modality": _object({"image": {"type": "number"}, "text": {"type": "number"}}),
    }
    error = {"code": {"type": "integer"}, "type": {"type": "string"}, "message": {"type": "string"}}
    return {
        "Product": _product({"type": "string", "description": "base64, or a data: URI"}),
        "ProductForm": _product({"type": "string", "format": "binary"}),
        "Prediction": _object(prediction, optional),
        "Explanation": _object(prediction | explanation, optional),
        "Error": _object(error),
    }


def _product(image: Schema) -> Schema:
    properties = {
        "image": image,
        "text": {"type": "string", "maxLength": LIMITS.max_text_chars},
        "top_k": {"type": "integer", "minimum": 1, "maximum": LIMITS.max_top_k, "default": LIMITS.default_top_k},
        "effort": {"enum": list(EFFORTS), "default": EFFORTS[0]},
    }
    return {
        "type": "object",
        "properties": {name: properties[name] for name in FIELDS},
        "anyOf": [{"required": ["image"]}, {"required": ["text"]}],
        "additionalProperties": False,
    }


def _many(answer: str) -> Schema:
    items = {"oneOf": [_ref(answer), _ref("Error")]}
    return _object({"predictions": {"type": "array", "items": items}})


def _object(properties: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
        "additionalProperties": False,
    }


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
