"""The hostile requests of the handler's tests as bytes on a wire, and what the front end makes of some."""

import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from hostile import ACCEPTED, HOSTILE
from serving import Request

from benchmarks.server.load.connections import encode
from handlers.product_serving.errors import ERROR_CODES

FORM, WEB_FORM = "multipart/form-data", "application/x-www-form-urlencoded"
# What TorchServe's front end makes of a request before the handler sees it: a form that it cannot read is its own 500,
# and the query of a prediction never arrives.
FRONT_END = {"a field without a name": 500, "a body and a query": 200}
EXPECTED: dict[str, int] = {
    **{name: ERROR_CODES[kind] for name, (_, kind) in HOSTILE.items()},
    **dict.fromkeys(ACCEPTED, 200),
    **FRONT_END,
}


def on_the_wire(name: str, *, path: str, headers: Mapping[str, str]) -> bytes:
    """A request of the two lists, whole."""
    fields, parameters = (HOSTILE[name][0] if name in HOSTILE else ACCEPTED[name])()
    query = urlencode({key: value for key, value, kind in parameters if not kind and "body" in _names(parameters)})
    own = {key: value for key, value in fields.items() if key != "explain"}
    kind, body = _content((own, parameters))
    sent = {**own, **headers, **({} if kind is None else {"Content-Type": kind})}
    return encode(f"{path}?{query}" if query else path, headers=sent, body=body)


def _content(request: Request) -> tuple[str | None, bytes]:
    headers, parameters = request
    kind = headers.get("Content-Type")
    if kind is not None and kind.startswith(FORM):
        boundary = uuid.uuid4().hex
        return f"{FORM}; boundary={boundary}", _multipart(parameters, boundary)
    if kind == WEB_FORM:
        pairs = [f"{quote(name)}={quote(value)}" for name, value, _ in parameters]
        return kind, "&".join(pairs).encode()
    return kind, next(value for name, value, _ in parameters if name == "body")


def _multipart(parameters: Sequence[tuple[str, bytes, str]], boundary: str) -> bytes:
    parts = []
    for name, value, kind in parameters:
        file = f'; filename="{name}"\r\nContent-Type: {kind}' if kind else ""
        parts += [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode(),
            value,
            b"\r\n",
        ]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _names(parameters: Sequence[tuple[str, bytes, str]]) -> list[str]:
    return [name for name, _, _ in parameters]
