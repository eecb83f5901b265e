"""What no HTTP library sends: broken, split and piled up requests, straight on the wire.

TorchServe's own answers are pinned, because callers and proxies meet them; what counts is that each connection gets one
answer or is closed, that the next one is served by the same processes, and that no log repeats what was sent.
"""

import base64
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import blank_png

from client.server.config import ServerConfig

pytestmark = pytest.mark.usefixtures("every_worker_lives")
TEXT = b'{"text": "Marlow Men Navy"}'
CANARY = "canary-1"
CHUNKED = "Transfer-Encoding: chunked"
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
Ask = Callable[..., list[int]]
Build = Callable[..., bytes]


@pytest.fixture
def ask(config: ServerConfig) -> Ask:
    """Send raw bytes; return the statuses of ``answers`` answers, or of fewer if the server closes the connection."""
    host, port = config.inference_url.removeprefix("http://").split(":")

    def send(data: bytes, *, answers: int = 1) -> list[int]:
        received = b""
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            try:
                connection.sendall(data)
                while len(STATUS.findall(received)) < answers and (more := connection.recv(65536)):
                    received += more
            except ConnectionError:  # closed before all of it was read
                pass
        return [int(status) for status in STATUS.findall(received)]

    return send


@pytest.fixture
def build(config: ServerConfig) -> Build:
    """A whole request with a token; ``None`` for the length sends none."""
    token = config.tokens().headers("inference")["Authorization"]

    def request(
        *lines: str, start: str = "POST /predictions/intermediate HTTP/1.1", body: bytes = TEXT, length: int | None = -1
    ) -> bytes:
        kind = [] if any(line.startswith("Content-Type") for line in lines) else ["Content-Type: application/json"]
        size = [] if length is None else [f"Content-Length: {len(body) if length < 0 else length}"]
        head = [start, "Host: x", f"Authorization: {token}", *kind, *lines, *size, "", ""]
        return "\r\n".join(head).encode("latin-1") + body

    return request


HEAD_CASES: dict[str, tuple[list[str], int]] = {
    "Expect: 200-ok": (["Expect: 200-ok"], 417),
    "two lengths, the same": (["Content-Length: 27"], 400),
    "two lengths": (["Content-Length: 3"], 400),
    "two types, the last counts": (["Content-Type: image/png", "Content-Type: application/json"], 200),
    "a gigantic header": (["X: " + "a" * 1_000_000], 400),
    "10,000 headers": (["X: a"] * 10_000, 400),
    "a header with NUL": (["X: a\0b"], 400),
    "a header that is not ASCII": (["X: \xe9\xff"], 200),
    "a header on two lines": (["X: a\r\n b"], 200),
    "a header without a colon": (["nocolon"], 400),
    "a blank before the colon": (["X : a"], 400),
    "no name": ([": a"], 400),
    "another protocol": (["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"], 200),
    "packed": (["Content-Encoding: gzip"], 200),
    "the server's own header": (["explain: True"], 200),
    "two hosts": (["Host: y"], 200),
    "two tokens, the first counts": (["Authorization: Bearer x"], 200),
    "a name with an underscore": (["x_y: a"], 200),
    "a type that is not ASCII": (["Content-Type: text/\xe9"], 415),
}


@pytest.mark.parametrize("name", HEAD_CASES)
def test_odd_headers(ask: Ask, build: Build, name: str) -> None:
    lines, status = HEAD_CASES[name]
    assert ask(build(*lines)) == [status]


BODIES: dict[str, tuple[list[str], bytes, list[int]]] = {
    "in chunks": ([CHUNKED], b'5\r\n{"tex\r\n9;a=b\r\nt": "ab"}\r\n0\r\nX-T: 1\r\n\r\n', [200]),
    "in chunks of no size": ([CHUNKED], b"zz\r\n{}\r\n0\r\n\r\n", [400]),
    "in chunks of a negative size": ([CHUNKED], b"-5\r\n{}\r\n0\r\n\r\n", []),
    "in chunks of an endless size": ([CHUNKED], b"ffffffffffffffff\r\n{}", [400]),
    "in chunks over the limit": ([CHUNKED], b"800000\r\n" + bytes(0x800000), [413]),
    "in chunks of another kind": (["Transfer-Encoding: xchunked"], b"2\r\n{}\r\n0\r\n\r\n", [400]),
    "of a negative length": (["Content-Length: -1"], TEXT, [400]),
    "of a length that is no number": (["Content-Length: abc"], TEXT, [400]),
    "of an endless length": (["Content-Length: 99999999999999999999"], TEXT, [400]),
    "of a length with a sign": (["Content-Length: +27"], TEXT, [200]),
    "of a list of lengths": (["Content-Length: 27, 27"], TEXT, [400]),
    "of no length": ([], b"", [400]),
    "announced over the limit": (["Content-Length: 7000000"], b"", [413]),
    "announced over the limit, asking before": (["Expect: 100-continue", "Content-Length: 7000000"], b"", [413]),
}


@pytest.mark.parametrize("name", BODIES)
def test_odd_bodies(ask: Ask, build: Build, name: str) -> None:
    lines, body, statuses = BODIES[name]
    answered = ask(build(*lines, body=body, length=None))
    # An answer that comes while the body is still on its way can be lost with the connection.
    assert answered == statuses or (len(body) > 0x400000 and not answered)


def test_who_asks_before_is_told_to_go_on(ask: Ask, build: Build) -> None:
    assert ask(build("Expect: 100-continue"), answers=2) == [100, 200]


def test_a_request_hidden_in_a_body_is_none_with_a_token(ask: Ask, build: Build) -> None:
    """Length and chunks at once: the chunks count, and what follows them is a request without a token."""
    hidden = b"0\r\n\r\nPOST /predictions/intermediate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    assert ask(build(CHUNKED, body=hidden), answers=2) == [400]


def test_requests_piled_up_are_answered_in_order_until_one_fails(ask: Ask, build: Build) -> None:
    good, bad = build(), build(body=b'{"x": 1}')
    assert ask(good * 20, answers=20) == [200] * 20
    assert ask(good + bad + good, answers=3) == [200, 400]


STARTS: dict[str, list[int]] = {
    "POST /predictions/intermediate HTTP/1.0": [200],
    "POST /predictions/intermediate HTTP/9.9": [200],
    "POST /predictions/intermediate": [400],
    "HEAD /predictions/intermediate HTTP/1.1": [200],
    "TRACE /predictions/intermediate HTTP/1.1": [200],
    "CANARY-1\x1b /predictions/intermediate HTTP/1.1": [200],
    "CONNECT x:80 HTTP/1.1": [500],
    "CONNECT /predictions/intermediate HTTP/1.1": [200],
    "POST * HTTP/1.1": [500],
    "GET * HTTP/1.1": [500],
    "OPTIONS * HTTP/1.1": [500],
    "OPTIONS / HTTP/1.1": [200],
    "GET / HTTP/1.1": [405],
    "post /predictions/intermediate HTTP/1.1": [200],
    "POST /predictions/intermediate HTTP/1.2": [200],
    "POST /predictions%2fintermediate HTTP/1.1": [200],
    "POST //predictions/intermediate HTTP/1.1": [404],
    "POST /predictions HTTP/1.1": [404],
    "POST /nothing HTTP/1.1": [404],
    "POST /predictions/intermediate/9.9 HTTP/1.1": [404],
    f"POST /predictions/{'x' * 5000} HTTP/1.1": [400],
    f"POST /predictions/intermediate?text={CANARY}{'x' * 3000} HTTP/1.1": [200],
    "POST http://elsewhere/predictions/intermediate HTTP/1.1": [404],
    **{
        f"POST /predictions/{path} HTTP/1.1": [status]
        for path, status in {
            "../models": 404,
            "%2e%2e/models": 404,
            "..%2f..%2fetc%2fpasswd": 404,
            "intermediate/../../models": 404,
            "/intermediate": 404,
            "intermediate/": 200,
            "inter%6dediate": 200,
            "intermediate/%31.0": 200,
            "intermediate%00": 404,
            f"intermediate%0d%0aX-{CANARY}:%20y": 404,
            "%ff": 404,
            f"%zz{CANARY}": 403,
            "%": 403,
            f"\x1b[31m{CANARY}": 404,
            "intermediate;a=b": 404,
            "null": 404,
            "tokenizer": 404,
        }.items()
    },
}


@pytest.mark.parametrize("start", STARTS, ids=lambda start: ascii(start)[:60])
def test_odd_addresses_and_methods(ask: Ask, build: Build, start: str) -> None:
    assert ask(build(start=start)) == STARTS[start]


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200), b"GET /ping\r\n\r\n", b"\0" * 9000]
)
def test_what_is_no_http(ask: Ask, garbage: bytes) -> None:
    assert ask(garbage + b"\r\n\r\n") == [400]


def part(*lines: str) -> bytes:
    head = "\r\n".join(['Content-Disposition: form-data; name="text"', *lines])
    return f"--x\r\n{head}\r\n\r\nshoe\r\n--x--\r\n".encode("latin-1")


FORMS: dict[str, tuple[str, bytes, int]] = {
    "a part of another charset": (FORM := "multipart/form-data; boundary=x", part("Content-Type: text/plain"), 200),
    "a part of no charset": (FORM, part(f"Content-Type: text/plain; charset={CANARY}"), 500),
    "a part of an unknown encoding": (FORM, part(f"Content-Transfer-Encoding: {CANARY}"), 200),
    "a part of a negative length": (FORM, part("Content-Length: -5"), 200),
    "a part of an endless length": (FORM, part("Content-Length: 99999999999"), 200),
    "a part of 100,000 headers": (FORM, part(*["X: a"] * 100_000), 200),
    "20,000 parts of one name": (FORM, part()[:-7] * 20_000 + part(), 200),
    "no boundary": ("multipart/form-data; boundary=", part(), 500),
    "a web form, not encoded": ("application/x-www-form-urlencoded", f"text=%zz{CANARY}".encode(), 500),
    "a web form of nothing": ("application/x-www-form-urlencoded", b"&" * 100_000, 500),
    "a web form of bytes": ("application/x-www-form-urlencoded", b"text=%ff%fe", 400),
}


@pytest.mark.parametrize("name", FORMS)
def test_odd_forms(ask: Ask, build: Build, name: str) -> None:
    kind, body, status = FORMS[name]
    assert ask(build(f"Content-Type: {kind}", body=body)) == [status]


@pytest.mark.parametrize(("side", "path"), [(5000, "predictions"), (7000, "predictions"), (5000, "explanations")])
def test_a_request_full_of_pixel_bombs(ask: Ask, build: Build, side: int, path: str) -> None:
    """Each as large as one may be, or larger; together 64 times that."""
    product = {"image": base64.b64encode(blank_png(side, side)).decode()}
    body = json.dumps({"instances": [product] * 64}).encode()
    start = f"POST /{path}/intermediate HTTP/1.1"
    assert ask(build(start=start, body=body)) == [200 if path == "predictions" else 413]


def test_no_log_repeats_what_was_sent(config: ServerConfig, ask: Ask, build: Build) -> None:
    """Addresses are logged, and names of models stand in them; nothing else is, no trace, and no control character."""
    ask(build(start=f"POST /predictions/%zz{CANARY} HTTP/1.1"))
    ask(build(f"X-{CANARY}: {CANARY}", start=f"POST /predictions/intermediate?text={CANARY} HTTP/1.1"))
    ask(build(f"Content-Type: multipart/form-data; boundary={CANARY}", body=FORMS["a part of no charset"][1]))
    ask(build("Content-Type: multipart/form-data; boundary=x", body=FORMS["a part of no charset"][1]))
    logs = {path.name: path.read_bytes() for path in Path(config.folder / "logs").glob("*.log")}
    assert {"access_log.log", "console.log", "model_log.log", "refused.log", "ts_log.log"} <= set(logs)
    assert logs["refused.log"] and re.fullmatch(rb"(\S+ \[ERROR\] [\w.$]+\n)+", logs["refused.log"])
    for name, content in logs.items():
        assert b"\tat " not in content and b"\x1b" not in content, name
        if name != "access_log.log":
            assert CANARY.encode() not in content, name
    assert f"?text={CANARY}".encode() not in logs["access_log.log"]
