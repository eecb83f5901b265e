"""Hostile and mistaken requests, each with its expected error type or with acceptance.

Each is a function that builds the request, because some have megabytes.
"""

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pictures import blank_png, chunk, deep_png, draw, encode, flip_bit, many_scans, png, turned
from serving import TITLES, Request, b64, bare, document, form

PICTURE = encode(draw())
JPEG = encode(draw(), "JPEG")
TITLE = TITLES[0]
URLENCODED = "application/x-www-form-urlencoded"


def fields(*names: str, content_type: str = "multipart/form-data; boundary=x") -> Request:
    """A form with the named fields, each holding a title."""
    return {"Content-Type": content_type}, [(name, TITLE.encode(), "") for name in names]


def colliding(name: str, value: bytes) -> Request:
    """A form field with the name of a header; TorchServe puts it among the headers."""
    return {"Content-Type": "multipart/form-data; boundary=x"}, [("text", TITLE.encode(), ""), (name, value, "")]


NO_COUNTS = ("0", "-1", "1000000000", "x", "", "1.5", "1e1", "+3", "0x3", "\u0663", "21", "9" * 5000, "3\0")
JSON_NO_COUNTS: tuple[Any, ...] = (0, -1, 10**9, "x", 1.5, 3.0, True, [], {})

HOSTILE: dict[str, tuple[Callable[[], Request], str]] = {
    # pictures
    "pixel bomb, png": (lambda: form(image=blank_png(9000, 9000)), "image_too_large"),
    "pixel bomb, header only": (
        lambda: form(image=png(2**31 - 1, 2**31 - 1, depth=8, colour=0, rows=b"")),
        "image_too_large",
    ),
    "pixel bomb in json": (lambda: document({"image": b64(blank_png(6000, 6000))}), "image_too_large"),
    "truncated png": (lambda: form(image=PICTURE[:100]), "image_corrupt"),
    "truncated jpeg": (lambda: form(image=JPEG[:-100]), "image_corrupt"),
    "truncated webp": (lambda: form(image=encode(draw(), "WEBP")[:60]), "image_corrupt"),
    "bit-flipped png": (lambda: form(image=flip_bit(PICTURE, 60)), "image_corrupt"),
    "bit-flipped jpeg": (lambda: form(image=flip_bit(JPEG, JPEG.index(b"\xff\xc0") + 1)), "image_corrupt"),
    "a png of crumbs": (
        lambda: form(image=png(8, 8, depth=8, colour=2, rows=bytes(200), after=chunk(b"abCd") * 400_000)),
        "image_corrupt",
    ),
    "a jpeg of scans": (lambda: form(image=many_scans(100_000)), "image_corrupt"),
    "a jpeg of filler": (lambda: form(image=b"\xff\xd8" + b"\xff" * 5_000_000 + JPEG[2:]), "image_corrupt"),
    "svg": (lambda: form(image=b"<svg/>"), "unsupported_image"),
    "svg, declared": (lambda: bare(b"<svg/>", "image/svg+xml"), "unsupported_image"),
    "eps": (lambda: form(image=encode(draw(), "EPS")), "unsupported_image"),
    "tiff": (lambda: form(image=encode(draw(), "TIFF")), "unsupported_image"),
    "gif": (lambda: form(image=encode(draw(), "GIF")), "unsupported_image"),
    "pdf": (lambda: form(image=encode(draw(), "PDF")), "unsupported_image"),
    "html": (lambda: form(image=b"<!DOCTYPE html><script>alert(1)</script>"), "unsupported_image"),
    "html, declared": (lambda: bare(b"<!DOCTYPE html>", "text/html"), "unsupported_image"),
    "html, undeclared": (lambda: bare(b"<!DOCTYPE html>"), "unsupported_image"),
    "svg, undeclared": (lambda: bare(b"\xef\xbb\xbf <svg/>"), "unsupported_image"),
    "pdf, undeclared": (lambda: bare(encode(draw(), "PDF")), "unsupported_image"),
    "eps, undeclared": (lambda: bare(b"%!PS-Adobe-3.0 EPSF-3.0"), "unsupported_image"),
    "telephone picture, undeclared": (lambda: bare(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "unsupported_image"),
    "polyglot": (lambda: form(image=b"GIF89a" + JPEG), "unsupported_image"),
    "film": (lambda: bare(b"\0\0\0\x18ftypmp42", "video/mp4"), "unsupported_image"),
    "xml": (lambda: bare(b"<a/>", "application/xml"), "unsupported_image"),
    "a content type of rubbish": (lambda: bare(TITLE.encode(), "rubbish/\u00e9"), "unsupported_image"),
    "text in place of a picture": (lambda: form(image="a shoe"), "unsupported_image"),
    "base64 in a form": (lambda: form(image=b64(PICTURE)), "unsupported_image"),
    "empty part": (lambda: form(image=b""), "image_empty"),
    "empty part beside a title": (lambda: form(image=b"", text=TITLE), "image_empty"),
    "empty base64": (lambda: document({"image": ""}), "image_empty"),
    "empty data: URI": (lambda: document({"image": "data:image/png;base64,"}), "image_empty"),
    "empty bare picture": (lambda: bare(b"", "image/jpeg"), "image_empty"),
    "one pixel": (lambda: form(image=encode(draw(1, 1))), "image_bad_shape"),
    "1 x 20000": (lambda: form(image=blank_png(1, 20_000)), "image_bad_shape"),
    "above the bytes of a picture": (lambda: form(image=JPEG + bytes(6_000_000)), "image_too_large"),
    # base64
    "no base64": (lambda: document({"image": "not base64!"}), "invalid_base64"),
    "base64 without padding": (lambda: document({"image": "QUJDRA"}), "invalid_base64"),
    "base64 of the web's alphabet": (lambda: document({"image": "_-_-"}), "invalid_base64"),
    "base64 of a foreign alphabet": (lambda: document({"image": "ＱＵＪＤ"}), "invalid_base64"),
    "base64 of a lone surrogate": (lambda: document(b'{"image": "QUJD\\ud800"}'), "invalid_base64"),
    "data: URI without base64": (lambda: document({"image": "data:image/png,QUJD"}), "invalid_base64"),
    "data: URI without a comma": (lambda: document({"image": "data:image/png;base64"}), "invalid_base64"),
    "base64 too long": (lambda: document({"image": "A" * 8_500_000}), "image_too_large"),
    "base64 of blanks": (lambda: document({"image": " " * 8_500_000}), "image_too_large"),
    "an address": (lambda: document({"image": "https://example.com/shoe.jpg"}), "invalid_base64"),
    "a path": (lambda: document({"image": "/etc/passwd"}), "invalid_base64"),
    "a number for a picture": (lambda: document({"image": 5}), "invalid_base64"),
    "a list for a picture": (lambda: document({"image": ["QUJD"]}), "invalid_base64"),
    "an object for a picture": (lambda: document({"image": {"url": "QUJD"}}), "invalid_base64"),
    # json
    "no json": (lambda: document(b"not json"), "invalid_json"),
    "empty json body": (lambda: document(b""), "invalid_json"),
    "json cut": (lambda: document(b'{"text": "shoe'), "invalid_json"),
    "json and more": (lambda: document(b'{"text": "shoe"} {}'), "invalid_json"),
    "json null": (lambda: document(b"null"), "invalid_json"),
    "json list": (lambda: document(b"[]"), "invalid_json"),
    "json word": (lambda: document(b'"shoe"'), "invalid_json"),
    "json number": (lambda: document(b"5"), "invalid_json"),
    "NaN": (lambda: document(b'{"text": "shoe", "top_k": NaN}'), "invalid_json"),
    "-Infinity": (lambda: document(b'{"text": "shoe", "top_k": -Infinity}'), "invalid_json"),
    "1e999": (lambda: document(b'{"text": "shoe", "top_k": 1e999}'), "invalid_json"),
    "a huge integer": (lambda: document(b'{"text": "shoe", "top_k": 1' + b"0" * 1_000_000 + b"}"), "invalid_json"),
    "an integer of 30 digits": (lambda: document(b'{"text": "shoe", "top_k": ' + b"3" * 30 + b"}"), "invalid_json"),
    "200,000 brackets": (lambda: document(b"[" * 200_000), "invalid_json"),
    "200,000 closed brackets": (lambda: document(b"[" * 200_000 + b"]" * 200_000), "invalid_json"),
    "20,000 closed brackets": (
        lambda: document(b'{"text": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
        "invalid_json",
    ),
    "200,000 objects": (lambda: document(b'{"a":' * 200_000 + b"1" + b"}" * 200_000), "invalid_json"),
    "3 million numbers": (lambda: document(b"[" + b"1," * 3_000_000 + b"1]"), "invalid_json"),
    "duplicate keys": (lambda: document(b'{"text": "shoe", "text": "shirt"}'), "invalid_json"),
    "duplicate keys inside": (lambda: document(b'{"instances": [{"text": "a", "text": "b"}]}'), "invalid_json"),
    "json in another encoding": (lambda: document('{"text": "shoe"}'.encode("utf-16")), "invalid_json"),
    "json with a byte order mark": (lambda: document(b'\xef\xbb\xbf{"text": "shoe"}'), "invalid_json"),
    "json with a control character": (lambda: document(b'{"text": "a\nb"}'), "invalid_json"),
    "json with invalid UTF-8": (lambda: document(b'{"text": "\xff"}'), "invalid_json"),
    "undeclared json cut": (lambda: bare(b'{"text": '), "invalid_json"),
    "no instances": (lambda: document({"instances": []}), "invalid_json"),
    "instances of an object": (lambda: document({"instances": {"text": TITLE}}), "invalid_json"),
    "instances of a word": (lambda: document({"instances": TITLE}), "invalid_json"),
    "instances null": (lambda: document({"instances": None}), "invalid_json"),
    "65 instances": (lambda: document({"instances": [{"text": TITLE}] * 65}), "too_many_instances"),
    "instances and more": (lambda: document({"instances": [{"text": TITLE}], "top_k": 3}), "unknown_field"),
    # titles
    "invalid UTF-8 in a form": (lambda: form(text=b"\xff\xfe shoe"), "invalid_text"),
    "invalid UTF-8 as a bare title": (lambda: bare(b"\xc3\x28", "text/plain"), "invalid_text"),
    "overlong UTF-8": (lambda: form(text=b"\xc0\xaf"), "invalid_text"),
    "a surrogate in UTF-8": (lambda: form(text=b"\xed\xa0\x80"), "invalid_text"),
    "a lone surrogate": (lambda: document(b'{"text": "shoe \\ud800"}'), "invalid_text"),
    "half an emoji": (lambda: document(b'{"text": "\\ude00\\ud83d"}'), "invalid_text"),
    "a number for a title": (lambda: document({"text": 5}), "invalid_text"),
    "a list for a title": (lambda: document({"text": [TITLE]}), "invalid_text"),
    "an object for a title": (lambda: document({"text": {"text": TITLE}}), "invalid_text"),
    "1 MB of text": (lambda: form(text="a" * 1_000_000), "text_too_long"),
    "1 MB of text in json": (lambda: document({"text": "a" * 1_000_000}), "text_too_long"),
    "1 MB of bare text": (lambda: bare(b"a " * 500_000, "text/plain"), "text_too_long"),
    # fields
    "nothing": (form, "missing_field"),
    "an empty object": (lambda: document({}), "missing_field"),
    "an empty body": (lambda: bare(b""), "missing_field"),
    "all null": (lambda: document({"image": None, "text": None, "top_k": None}), "missing_field"),
    "top_k alone": (lambda: form(top_k="3"), "missing_field"),
    "an empty title": (lambda: form(text=""), "missing_field"),
    "a title of blanks": (lambda: form(text=" \t\u3000\n"), "missing_field"),
    "a title of nothing that shows": (lambda: form(text="\u200b\u2060\ufeff"), "missing_field"),
    "a title of control characters": (lambda: form(text="\0\x01\x1b"), "missing_field"),
    "an unknown field": (lambda: fields("text", "colour"), "unknown_field"),
    "an unknown field in json": (lambda: document({"text": TITLE, "colour": "red"}), "unknown_field"),
    "a field of another case": (lambda: fields("Text"), "unknown_field"),
    "a field without a name": (lambda: fields("text", ""), "unknown_field"),
    "a form field called body": (lambda: fields("body"), "unknown_field"),
    "a form field called data": (lambda: fields("data", content_type=URLENCODED), "unknown_field"),
    "a form field called content-type": (lambda: colliding("content-type", b"text/plain"), "unknown_field"),
    "a form field called explain": (lambda: colliding("explain", b"True"), "unknown_field"),
    "json sent as a web form": (lambda: fields('{"text": "shoe"}', content_type=URLENCODED), "unknown_field"),
    "a body and a query": (
        lambda: ({}, [("top_k", b"3", ""), ("body", PICTURE, "image/png")]),
        "unknown_field",
    ),
    # top_k
    **{f"top_k {value[:12]!r}": (partial(form, text=TITLE, top_k=value), "out_of_range") for value in NO_COUNTS},
    **{
        f"top_k {value!r} in json": (partial(document, {"text": TITLE, "top_k": value}), "out_of_range")
        for value in JSON_NO_COUNTS
    },
}

ACCEPTED: dict[str, Callable[[], Request]] = {
    "cmyk": lambda: form(image=encode(draw().convert("CMYK"), "JPEG")),
    "palette with transparency": lambda: form(image=encode(draw().quantize(8), "PNG", transparency=0)),
    "rgba": lambda: form(image=encode(draw().convert("RGBA"))),
    "16-bit": lambda: form(image=deep_png(np.full((8, 8), 9000, np.uint16), colour=0)),
    "grey": lambda: form(image=encode(draw().convert("L"))),
    "turned": lambda: form(image=turned(6)),
    "animated png": lambda: form(image=encode(draw(), save_all=True, append_images=[draw().rotate(180)])),
    "animated webp": lambda: form(image=encode(draw(), "WEBP", save_all=True, append_images=[draw().rotate(180)])),
    "a picture under a wrong type": lambda: bare(PICTURE, "image/jpeg"),
    "a picture of the largest size": lambda: form(image=blank_png(5000, 5000)),
    "NUL": lambda: form(text="shoe\0\0red"),
    "control characters": lambda: form(text="shoe\x1b[31m\x07\x85"),
    "emoji": lambda: form(text="\U0001f45f shoe \U0001f468\u200d\U0001f469\u200d\U0001f467"),
    "emoji in json escapes": lambda: document(b'{"text": "shoe \\ud83d\\udc5f"}'),
    "a bare byte order mark": lambda: bare(b"\xef\xbb\xbfshoe"),
    "right to left": lambda: form(text="\u202eshoe \u05e0\u05e2\u05dc"),
    "a run of combining marks": lambda: form(text="a" + "\u0300" * 4999 + "\u0316" * 5000),
    "one sign that normalises to eighteen": lambda: form(text="\ufdfa" * 10_000),
    "a word of 10,000 letters": lambda: form(text="a" * 10_000),
    "the tokenizer's own signs": lambda: form(text="[CLS] shoe [SEP] [MASK] [PAD]"),
    "markup": lambda: form(text="<script>alert('x')</script> {{7*7}} ' OR 1=1 --"),
    "base64 with line breaks": lambda: document({"image": base64.encodebytes(PICTURE).decode()}),
    "a data: URI": lambda: document({"image": f"data:image/png;charset=x;base64,{b64(PICTURE)}"}),
    "null beside a title": lambda: document({"image": None, "text": TITLE, "top_k": None}),
    "an empty title beside a picture": lambda: form(image=PICTURE, text=""),
    "a web form": lambda: fields("text", content_type=URLENCODED),
    "top_k as a word": lambda: document({"text": TITLE, "top_k": "3"}),
    "json by another name": lambda: bare(b'{"text": "shoe"}', "application/vnd.shop+json"),
    "json undeclared": lambda: bare(b' {"text": "shoe"}', "application/octet-stream"),
    "64 instances": lambda: document({"instances": [{"text": TITLE}] * 64}),
}
