"""Every form of request yields the same fields; any other input is a ProductError, never another exception."""

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.product_serving.errors import ERROR_CODES, ProductError
from handlers.product_serving.preprocessing import Product, ProductPreprocessor
from handlers.product_serving.request import ProductFields, ProductRequest, read_request
from handlers.product_serving.settings import Attribute, ProductSettings

SETTINGS = ProductSettings(model="late", attributes=(Attribute(name="label", labels=("a", "b")),))
FORM = "multipart/form-data; boundary=x"
JSON = "application/json"
STARTS = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", b"GIF89a", b"%PDF", b"<svg", b"{", b"[")
FIELDS = ("image", "text", "top_k", "b64", "instances")
CONTENT_TYPES = (FORM, JSON, "text/plain", "image/jpeg", "application/octet-stream", "", None, "text/html", "a/b;c")
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(("image", "text", "top_k", "b64")) | st.text(), inner)
    ),
    max_leaves=10,
)
names = st.sampled_from(("image", "text", "top_k", "body", "data", "instances")) | st.text()
contents = st.binary() | st.builds(bytes.__add__, st.sampled_from(STARTS), st.binary())
json_like = st.text(st.sampled_from('{}[]",:0123456789eE+-.truefalsnNIiy \\ud8"image"text"top_k"instances')).map(
    str.encode
)


def read(row: Mapping[str, Any], content_type: str | None) -> ProductRequest:
    return read_request(row, content_type, SETTINGS)


def single(row: Mapping[str, Any], content_type: str | None) -> ProductFields:
    request = read(row, content_type)
    [item] = request.items
    assert not request.many and isinstance(item, ProductFields)
    return item


@given(image=st.binary(min_size=1), text=st.text(st.characters(exclude_categories=["Cs"])), top_k=st.integers(1, 20))
def test_every_form_reads_the_same_fields(image: bytes, text: str, top_k: int) -> None:
    expected = ProductFields(image, text, top_k)
    encoded = base64.b64encode(image).decode()
    body = {"image": encoded, "text": text, "top_k": top_k}
    form = {"image": bytearray(image), "text": bytearray(text.encode()), "top_k": bytearray(str(top_k).encode())}
    assert single(form, FORM) == single(form, None) == expected
    assert single({"body": bytearray(json.dumps(body).encode())}, JSON) == expected
    assert (
        single({"body": json.dumps(body, ensure_ascii=False).encode()}, "application/json; charset=UTF-8") == expected
    )
    assert single({"data": json.dumps(body)}, JSON) == single({"body": body}, JSON) == expected
    assert single({"body": {**body, "image": "data:image/png;base64," + encoded}}, JSON) == expected
    assert single({"body": {**body, "image": {"b64": encoded}}}, JSON) == expected
    assert single({"body": memoryview(image)}, "image/webp") == ProductFields(image, None, SETTINGS.default_top_k)
    many = read({"body": json.dumps({"instances": [body, body]}).encode()}, JSON)
    assert many == ProductRequest([expected, expected], many=True)


@given(row=st.dictionaries(names, anything, max_size=4), content_type=st.sampled_from(CONTENT_TYPES) | st.text())
def test_rows_of_anything(row: dict[str, Any], content_type: str | None) -> None:
    check(row, content_type)


@given(content=contents | json_like, content_type=st.sampled_from(CONTENT_TYPES), key=st.sampled_from(("body", "data")))
def test_bodies_of_anything(content: bytes, content_type: str | None, key: str) -> None:
    check({key: bytearray(content)}, content_type)


@given(value=anything.map(lambda value: json.dumps(value, default=lambda data: data.decode("latin-1")).encode()))
def test_json_of_anything(value: bytes) -> None:
    check({"body": value}, JSON)
    check({"body": b'{"instances": [' + value + b"]}"}, JSON)


def check(row: Mapping[str, Any], content_type: str | None) -> None:
    """Either fields within the limits, or an error with a code."""
    try:
        request = read(row, content_type)
    except ProductError as error:
        assert error.code == ERROR_CODES[error.type]
        return
    assert request.many or len(request.items) == 1
    for item in request.items:
        if isinstance(item, ProductFields):
            assert item.image is None or type(item.image) is bytes
            assert item.text is None or type(item.text) is str
            assert type(item.top_k) is int and 1 <= item.top_k <= SETTINGS.max_top_k


@given(image=st.none() | contents, text=st.none() | st.text())
def test_preprocessing_of_anything(preprocessor: ProductPreprocessor, image: bytes | None, text: str | None) -> None:
    try:
        product = preprocessor(image, text)
    except ProductError as error:
        assert error.code == ERROR_CODES[error.type]
    else:
        assert isinstance(product, Product) and 2 <= len(product.input_ids) <= preprocessor.settings.max_tokens


@pytest.mark.parametrize(
    ("content", "reads"),
    [
        (b"Nike shoe", "text"),
        ("\ufeffChaussure \u00e9t\u00e9".encode(), "text"),
        (b"", None),
        (b'\n {"text": "a"}', "text"),
        (b"\x89PNG\r\n\x1a\n\0", "image"),
        (b"\xff\xd8\xff\xe0", "image"),
        (b"plain\0text", "image"),
        ("Sch\u00f6n".encode("latin-1"), "image"),
        (b"<svg/>", "image"),
        (b"%PDF-1.7", "image"),
    ],
)
@pytest.mark.parametrize("content_type", [None, "", "application/octet-stream"])
def test_a_body_without_a_type_is_known_by_its_first_bytes(
    content: bytes, reads: str | None, content_type: str | None
) -> None:
    if reads is None:
        with pytest.raises(ProductError, match="send a picture, a title or both"):
            single({"body": content}, content_type)
    else:
        item = single({"body": content}, content_type)
        assert (item.image is not None, item.text is not None) == (reads == "image", reads == "text")


def test_limits_come_from_the_settings() -> None:
    small = dataclasses.replace(SETTINGS, max_instances=2, max_top_k=3, max_text_chars=4, default_top_k=1)
    assert read_request({"text": b"four"}, FORM, small).items == [ProductFields(None, "four", 1)]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"body": {"instances": [{"text": "a"}] * 3}}, "too_many_instances"),
        ({"text": "a", "top_k": "4"}, "out_of_range"),
        ({"text": "fifth"}, "text_too_long"),
    ]
    for row, kind in refused:
        with pytest.raises(ProductError) as caught:
            read_request(row, None, small)
        assert caught.value.type == kind


def test_an_unknown_field_is_named_by_its_position_only() -> None:
    with pytest.raises(ProductError, match="field 2 is unknown; known are image, text, top_k") as caught:
        read({"text": "a", "canary": "b"}, FORM)
    assert "canary" not in caught.value.message


def test_base64_that_is_too_long_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64, "b64decode", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(ProductError, match="longer than"):
        single({"image": "A" * 8_500_000, "text": "a"}, FORM)


def test_json_with_too_many_elements_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(ProductError, match="more than 50000 commas and brackets"):
        read({"body": b"[" + b"1," * 3_000_000 + b"1]"}, JSON)


def test_the_longest_picture_fits_into_base64_with_line_breaks() -> None:
    image = bytes(SETTINGS.max_image_bytes)
    assert single({"body": {"image": base64.encodebytes(image).decode()}}, JSON).image == image
