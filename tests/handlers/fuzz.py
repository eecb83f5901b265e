"""Requests for property tests: valid ones, slightly damaged ones, and noise.

Random bytes fail at the first check. So most requests start from a valid one: bytes of a real picture are changed and
its checksums corrected, fields of a product get values of other types, JSON loses a character.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pictures import PNG_START, chunk, deep_png, draw, encode, turned
from serving import Answer, Request, b64, bare, document, explained, form

from handlers.product_serving.errors import ERROR_CODES

PICTURES: Sequence[bytes] = (
    encode(draw()),
    encode(draw(), "JPEG"),
    encode(draw(), "JPEG", progressive=True),
    encode(draw().convert("CMYK"), "JPEG"),
    encode(draw(), "WEBP"),
    encode(draw(), "WEBP", save_all=True, append_images=[draw().rotate(180)]),
    encode(draw(), save_all=True, append_images=[draw().rotate(180)]),
    encode(draw().quantize(8), "PNG", transparency=0),
    encode(draw().convert("RGBA")),
    deep_png(np.full((8, 8), 9000, np.uint16), colour=0),
    turned(6),
    turned(6, "JPEG"),
    b"GIF89a\x01\0\x01\0\0\0\0;",
)
TITLES = ("Nike Men Blue Running Shoes", "\U0001f45f \u202eשוּ", "a\0b\x1b[31m", "\ufdfa" * 50, "[CLS] [SEP]", "")
TYPES = (
    *("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json", "text/plain"),
    *(
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "application/octet-stream",
        "application/x+json",
        "text/html",
        "",
        ";",
    ),
)
NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\0\1", b"\xff\xff")
MARKS = (b"[", b"]", b"{", b"}", b'"', b"\\u", b"\\ud800", b"1e999", b"NaN", b",", b":", b"null", b"\0", b"\xff")
NAMES = ("image", "text", "top_k", "instances", "b64", "body", "data", "explain", "Content-Type")
# Errors that a caller can cause; the others are internal.
STRANGERS = set(ERROR_CODES) - {"internal_error", "model_output_invalid", "out_of_memory"}

visible = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
titles = st.sampled_from(TITLES) | visible | st.builds(str.__mul__, visible, st.sampled_from([1, 30, 3000]))


@st.composite
def damaged(draw_: st.DrawFn, samples: Sequence[bytes], crumbs: Sequence[bytes]) -> bytes:
    """A valid sample with up to four changes."""
    data = draw_(st.sampled_from(samples))
    for _ in range(draw_(st.integers(0, 4))):
        start = draw_(st.integers(0, len(data)))
        stop = min(len(data), start + draw_(st.sampled_from([0, 1, 2, 4, 16, 1000])))
        middle = draw_(
            st.sampled_from([b"", data[start:stop] * 2, data[start:stop][::-1], *crumbs]) | st.binary(max_size=8)
        )
        data = data[:start] + middle + data[stop:]
    return data


def repaired(data: bytes) -> bytes:
    """A PNG with valid checksums, so that the fault is in the content."""
    if not data.startswith(PNG_START):
        return data
    position, parts = len(PNG_START), [PNG_START]
    while len(kind := data[position + 4 : position + 8]) == 4:
        length = int.from_bytes(data[position : position + 4], "big")
        body = data[position + 8 : position + 8 + length]
        parts.append(chunk(kind, body))
        position += 12 + length
    return b"".join(parts)


def recompressed(data: bytes) -> bytes:
    """A PNG with a fixed header and any pixels."""
    return PICTURES[0][:33] + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND")


pictures = damaged(PICTURES, NUMBERS)
pictures = pictures | pictures.map(repaired) | st.binary(max_size=300).map(recompressed) | st.binary(max_size=50)
encoded = pictures.map(b64)
scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | titles | encoded | encoded.map("data:;base64,".__add__)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | visible, inner, max_size=4),
    max_leaves=6,
)
products: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {}, optional={"image": encoded | scalars, "text": titles | scalars, "top_k": st.integers(-1, 22) | scalars}
)
documents = products | values | st.fixed_dictionaries({"instances": st.lists(products | values, max_size=5)})
json_texts = documents.map(json.dumps).map(str.encode)
contents = (
    pictures
    | titles.map(lambda title: title.encode("utf-8", "surrogatepass"))
    | json_texts
    | st.lists(json_texts, min_size=1, max_size=2).flatmap(lambda samples: damaged(samples, MARKS))
    | st.binary(max_size=50)
)
well_formed: st.SearchStrategy[Request] = st.fixed_dictionaries(
    {}, optional={"image": pictures, "text": titles, "top_k": st.sampled_from(["1", "20"])}
).map(lambda fields: form(**fields))
forms: st.SearchStrategy[Request] = st.tuples(
    st.sampled_from(TYPES[:2]).map(lambda kind: {"Content-Type": kind}),
    st.lists(st.tuples(st.sampled_from(NAMES) | visible, contents, st.sampled_from(["", *TYPES])), max_size=4),
)
bodies: st.SearchStrategy[Request] = st.builds(bare, contents, st.none() | st.sampled_from(TYPES) | visible)
requests = st.tuples(well_formed | forms | bodies | json_texts.map(document), st.integers(0, 9)).map(
    lambda pair: explained(pair[0]) if pair[1] == 0 else pair[0]
)


def check_answer(answer: Answer) -> None:
    """The answer fits the contract: strict ASCII JSON with a class or an error that a caller can cause."""
    assert answer.content_type == "application/json" and answer.body.isascii() and answer.phrase.isascii()
    document = json.loads(answer.body, parse_constant=_refuse)
    many = "predictions" in document
    for item in document["predictions"] if many else [document]:
        if "label" in item:
            assert 0 <= item["score"] <= 1 and item["modalities"]
            assert answer.status == 200
        else:
            assert set(item) == {"code", "type", "message"} and item["type"] in STRANGERS, item
            assert item["code"] == ERROR_CODES[item["type"]] and len(item["message"]) < 200
            assert answer.status == (200 if many else item["code"])


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in an answer")
