"""Parse a request, in any form that TorchServe passes on, into the fields of one or more products.

| Content-Type | read as |
|---|---|
| multipart/form-data, application/x-www-form-urlencoded | a form; of a repeated field TorchServe keeps the last |
| application/json, or ending in +json | one product, or ``{"instances": [product, ...]}`` |
| image/... | a bare picture; its first bytes decide the format |
| text/plain | a bare title in UTF-8 |
| none (``curl -T``), application/octet-stream | JSON if it opens with a bracket, a title if text, else a picture |
| any other | 415 |
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import ProductError
from .picture import header_pixels
from .settings import ProductSettings

FIELDS = ("image", "text", "top_k", "effort")
EFFORTS = ("auto", "full")
_BODY_KEYS = ("body", "data")
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_UNTYPED = ("", "application/octet-stream")
_MARKUP = ("<", "%!", "%PDF")
_INTEGER_DIGITS = 18
_MAX_JSON_MARKS = 50_000
# Base64 has 4 characters for 3 bytes and a line break after each 76; data:image/jpeg;base64, may precede it.
_BASE64_FACTOR, _BASE64_EXTRA = 1.4, 1000


class ProductFields(NamedTuple):
    """The fields of one product, as sent.

    Args:
        image: encoded picture, or None.
        text: title, or None; not yet normalised.
        top_k: number of classes to answer.
        full: compute all towers, also where a cascade would answer earlier.
    """

    image: bytes | None
    text: str | None
    top_k: int
    full: bool = False


class ProductRequest(NamedTuple):
    """The products of one request, in order.

    Args:
        items: one entry for each product; an error if the product cannot be read.
        many: the request has ``instances``, so the answer has ``predictions``.
    """

    items: list[ProductFields | ProductError]
    many: bool


def read_request(row: Mapping[str, Any], content_type: str | None, settings: ProductSettings) -> ProductRequest:
    """Read one request.

    Args:
        row: field name -> value, from TorchServe's worker; a bare body is the field ``body`` or ``data``.
        content_type: value of the Content-Type header, parameters allowed; None without the header.
        settings: limits and defaults.

    Raises:
        ProductError: the request as a whole cannot be read.
    """
    media_type = (content_type or "").split(";")[0].strip().lower()
    if media_type in _FORMS or list(row) not in ([key] for key in _BODY_KEYS):
        return ProductRequest([read_product(row, settings)], many=False)
    body = next(iter(row.values()))
    if isinstance(body, str):  # TorchServe decodes the body if decode_input_request is on
        body = body.encode("utf-8", "surrogatepass")
    content = _as_bytes(body)
    if content is None:
        return _read_document(body, settings)
    return _read_body(content, media_type, settings)


def limit_explained(request: ProductRequest, settings: ProductSettings) -> None:
    """Refuse a request for too many explanations; each one costs as much as several answers.

    Raises:
        ProductError: ``too_many_instances``.
    """
    if len(request.items) > settings.max_explained:
        raise ProductError(
            "too_many_instances", f"instances: at most {settings.max_explained} products a request for explanations"
        )


def read_product(fields: Mapping[str, Any], settings: ProductSettings) -> ProductFields:
    """Read one product's fields, from a form (bytes) or from JSON (strings).

    Raises:
        ProductError: a field is unknown, missing or malformed; the message names the field.
    """
    for number, name in enumerate(fields, 1):
        if name not in FIELDS:
            raise ProductError("unknown_field", f"field {number} is unknown; known are {', '.join(FIELDS)}")
    image = _read_image(fields.get("image"), settings)
    text = _read_text(fields.get("text"), settings)
    top_k = _read_top_k(fields.get("top_k"), settings)
    if image is None and not (text or "").strip():
        raise ProductError("missing_field", "image, text: send a picture, a title or both")
    return ProductFields(image, text, top_k, _read_effort(fields.get("effort")) == "full")


def read_instance(instance: Any, settings: ProductSettings) -> ProductFields | ProductError:
    """Read one product of several: as :func:`read_product`, but an error is returned, so that the others stand."""
    if not isinstance(instance, Mapping):
        return ProductError("invalid_json", "instances: each product must be a JSON object")
    try:
        return read_product(instance, settings)
    except ProductError as error:
        return error


def limit_pixels(request: ProductRequest, settings: ProductSettings) -> None:
    """Replace each picture that exceeds the request's total of pixels by an error.

    A picture that is too large by itself does not count, because it is never decoded.
    """
    limit, decoded = settings.max_request_pixels, 0
    for number, item in enumerate(request.items):
        if isinstance(item, ProductFields) and item.image is not None:
            pixels = header_pixels(item.image)
            if pixels > settings.max_image_pixels:
                continue
            if decoded + pixels <= limit:
                decoded += pixels
            else:
                message = f"image: the pictures of this request have more than {limit} pixels together; send fewer"
                request.items[number] = ProductError("image_too_large", message)


def _read_body(content: bytes, media_type: str, settings: ProductSettings) -> ProductRequest:
    """Read a body that is no form, by its media type, or by its first bytes if it has none."""
    if media_type in _UNTYPED:
        media_type = _sniff(content)
    if media_type == "application/json" or media_type.endswith("+json"):
        return _read_document(parse_json(content), settings)
    if media_type == "text/plain":
        return ProductRequest([read_product({"text": content}, settings)], many=False)
    if media_type.startswith("image/"):
        return ProductRequest([read_product({"image": content}, settings)], many=False)
    raise ProductError(
        "unsupported_image",
        "body: unknown Content-Type; send multipart/form-data, application/json, image/jpeg, image/png, image/webp or "
        "text/plain",
    )


def _sniff(content: bytes) -> str:
    try:
        text = content.decode("utf-8").lstrip("\ufeff \t\r\n")
    except UnicodeDecodeError:
        return "image/"
    if text.startswith(("{", "[")):
        return "application/json"
    return "image/" if "\0" in text or text.startswith(_MARKUP) else "text/plain"


def _read_document(document: Any, settings: ProductSettings) -> ProductRequest:
    if not isinstance(document, Mapping):
        raise ProductError(
            "invalid_json", 'body: expected a JSON object such as {"text": "..."} or {"instances": [...]}'
        )
    if "instances" not in document:
        return ProductRequest([read_product(document, settings)], many=False)
    if len(document) > 1:
        raise ProductError(
            "unknown_field", "instances: no other field may stand beside it; put top_k into each product"
        )
    instances = document["instances"]
    if not isinstance(instances, Sequence) or isinstance(instances, str | bytes) or not instances:
        raise ProductError("invalid_json", "instances: expected a list of at least one product")
    if len(instances) > settings.max_instances:
        raise ProductError("too_many_instances", f"instances: at most {settings.max_instances} products a request")
    return ProductRequest([read_instance(instance, settings) for instance in instances], many=True)


def _read_image(value: Any, settings: ProductSettings) -> bytes | None:
    if isinstance(value, Mapping) and list(value) == ["b64"]:
        value = value["b64"]
    if value is None:
        return None
    image = _decode_base64(value, settings) if isinstance(value, str) else _as_bytes(value)
    if image is None:
        raise ProductError("invalid_base64", "image: expected a file, a base64 string or a data: URI")
    if not image:
        raise ProductError("image_empty", "image: the file is empty; send a JPEG, PNG or WebP")
    return image


def _decode_base64(value: str, settings: ProductSettings) -> bytes:
    if len(value) > _BASE64_FACTOR * settings.max_image_bytes + _BASE64_EXTRA:
        raise ProductError(
            "image_too_large", f"image: longer than {settings.max_image_bytes} bytes; send a smaller file"
        )
    encoded = value.strip()
    if encoded[:5].lower() == "data:":
        header, comma, encoded = encoded.partition(",")
        if not comma or not header.lower().endswith(";base64"):
            raise ProductError("invalid_base64", "image: a data: URI must be of the form data:image/jpeg;base64,...")
    try:
        return base64.b64decode("".join(encoded.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ProductError("invalid_base64", "image: not valid base64 (standard alphabet, padded)") from error


def _read_text(value: Any, settings: ProductSettings) -> str | None:
    if value is None or isinstance(value, str):
        text: str | None = value
    else:
        content = _as_bytes(value)
        if content is None:
            raise ProductError("invalid_text", "text: expected a string")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProductError("invalid_text", "text: not valid UTF-8") from error
    if text is not None and len(text) > settings.max_text_chars:
        raise ProductError("text_too_long", f"text: longer than {settings.max_text_chars} characters")
    return text


def _read_top_k(value: Any, settings: ProductSettings) -> int:
    if value is None:
        return settings.default_top_k
    content = _as_bytes(value)
    digits = content.decode("utf-8", "replace").strip() if content is not None else value
    if isinstance(digits, str) and digits.isascii() and digits.isdigit() and len(digits) <= _INTEGER_DIGITS:
        digits = int(digits)
    if type(digits) is not int or not 1 <= digits <= settings.max_top_k:
        raise ProductError("out_of_range", f"top_k: must be a whole number from 1 to {settings.max_top_k}")
    return digits


def _read_effort(value: Any) -> str:
    if value is None:
        return EFFORTS[0]
    content = _as_bytes(value)
    word = content.decode("utf-8", "replace").strip() if content is not None else value
    if word not in EFFORTS:
        raise ProductError("out_of_range", f"effort: must be {' or '.join(EFFORTS)}")
    return str(word)


def _as_bytes(value: Any) -> bytes | None:
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else None


def parse_json(content: bytes, *, field: str = "body") -> Any:
    """Parse strict JSON (RFC 8259); refuse duplicate keys, NaN, infinities, very long integers, too many elements.

    Args:
        content: the text.
        field: where it stands, for the message.

    Raises:
        ProductError: ``invalid_json``.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_JSON_MARKS:
        raise ProductError("invalid_json", f"{field}: more than {_MAX_JSON_MARKS} commas and brackets")
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_distinct_keys,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_short_integer,
        )
    except (ValueError, RecursionError) as error:
        raise ProductError("invalid_json", f"{field}: not valid JSON (UTF-8, distinct keys, finite numbers)") from error


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("duplicate keys")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _short_integer(digits: str) -> int:
    if len(digits) > _INTEGER_DIGITS:
        raise ValueError("an integer is too long")
    return int(digits)


def content_type(headers: Mapping[str, Any]) -> str | None:
    """Return the Content-Type header. TorchServe mixes form fields into the headers; those are not text."""
    found = (value for name, value in headers.items() if name.lower() == "content-type" and isinstance(value, str))
    return next(found, None)


def asks_explanation(headers: Mapping[str, Any]) -> bool:
    """True for a request to /explanations: TorchServe then sets its own lower-case header."""
    return headers.get("explain") == "True"


def end_calls(headers: Sequence[Mapping[str, Any]], context: Any) -> None:
    """Tell the front end that the answer to a gRPC call is its last one; otherwise StreamPredictions kills the worker.

    HTTP answers must not have this header: they would lose their status. The front end gives each HTTP request, and no
    gRPC call, a Content-Length. StreamPredictions2 has already failed in the front end, because it needs sequence
    batching; an answer to it would kill the worker, so there is none. Source: GRPCJob.java, RestJob.java, Model.java.
    """
    for number, header in enumerate(headers):
        names = {name.lower() for name, value in header.items() if isinstance(value, str)}
        if "content-length" not in names:
            context.set_response_header(number, "ts_stream_next", "false")
            if "ts_request_sequence_id" in names:
                del context.request_ids[number]
