"""The proxy's configuration in a real nginx: what passes, what does not, and what is said."""

import json
import platform
import shutil
import socket
import ssl
import sys
from collections.abc import Iterator
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from proxy import NGINX, OPENSSL, Proxy, running_proxy

from benchmarks.server.systems.torchserve_config import ROOT, free_ports
from client.server.config import ServerConfig

pytestmark = pytest.mark.skipif(
    NGINX is None or OPENSSL is None, reason="needs nginx and openssl: apt install nginx-light"
)
ROUTE = "/predictions/intermediate"
WITHOUT_IPV6 = (sys.executable, str(ROOT / "tests" / "without_ipv6.py"))
TITLE = "Marlow Men Navy Classic Running Shoes"


@pytest.fixture(scope="module")
def proxy(config: ServerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("nginx"), config) as proxy:
        yield proxy


def connected(proxy: Proxy, headers: dict[str, str]) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    return httpx.Client(base_url=proxy.url, headers=headers, verify=context, trust_env=False)


@pytest.fixture
def http(proxy: Proxy, config: ServerConfig) -> Iterator[httpx.Client]:
    with connected(proxy, config.tokens().headers("inference")) as client:
        yield client


def error(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers.get("Server") == "nginx"
    answer = response.json()
    assert answer["code"] == response.status_code and answer["message"]
    return answer["code"], answer["type"]


def test_products_are_answered_as_by_the_server(http: httpx.Client, config: ServerConfig, picture: bytes) -> None:
    for path in (ROUTE, f"{ROUTE}/1.0", "/explanations/intermediate"):
        request = {"data": {"text": TITLE}, "files": {"image": picture}}
        direct = httpx.post(config.inference_url + path, headers=config.tokens().headers("inference"), **request)  # type: ignore[arg-type]
        answer = http.post(path, **request)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["label"]) == (200, direct.json()["label"])
    assert http.put(ROUTE, content=picture).json()["modalities"] == ["image"]  # what `curl -T` sends


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/ping", (404, "unknown_route")),
        ("OPTIONS", "/", (404, "unknown_route")),
        ("GET", "/models", (404, "unknown_route")),
        ("POST", "/models?url=late.mar", (404, "unknown_route")),
        ("GET", "/metrics", (404, "unknown_route")),
        ("GET", "/token?type=inference", (404, "unknown_route")),
        ("POST", "/invocations", (404, "unknown_route")),
        ("POST", "/predictions/a/../../models", (404, "unknown_route")),
        ("POST", "/predictions/%2e%2e/models", (404, "unknown_route")),
        ("POST", "/predictions/a%2fb%2fc", (404, "unknown_route")),
        ("POST", "/predictions/a%00", (400, "bad_request")),
        ("GET", ROUTE, (405, "wrong_method")),
        ("DELETE", f"{ROUTE}/1.0", (405, "wrong_method")),
        ("OPTIONS", ROUTE, (405, "wrong_method")),
    ],
)
def test_only_the_inference_routes_pass(http: httpx.Client, method: str, path: str, expected: tuple[int, str]) -> None:
    assert error(http.request(method, path)) == expected


@pytest.mark.parametrize("token", [None, "", "Bearer", "Basic eA==", "Bearer a b", "Bearer x\ty"])
def test_who_shows_no_token_stays_outside(proxy: Proxy, token: str | None) -> None:
    with connected(proxy, {} if token is None else {"Authorization": token}) as client:
        assert error(client.post(ROUTE, content=b"shoe")) == (401, "missing_token")


WIRE: dict[str, tuple[str, int, str]] = {
    # name: the first line and more, status and type; {} is where the address goes
    "a star": ("POST * HTTP/1.1", 400, "bad_request"),
    "OPTIONS of a star": ("OPTIONS * HTTP/1.1", 400, "bad_request"),
    "CONNECT to a host": ("CONNECT x:80 HTTP/1.1", 400, "bad_request"),
    "CONNECT to a route": ("CONNECT {} HTTP/1.1", 405, "wrong_method"),
    "a method in small letters": ("post {} HTTP/1.1", 400, "bad_request"),
    "an invented method": ("PURGE {} HTTP/1.1", 405, "wrong_method"),
    "a broken escape": ("POST /predictions/%zz HTTP/1.1", 400, "bad_request"),
    "an address with NUL": ("POST {}%00 HTTP/1.1", 400, "bad_request"),
    "bytes as a model": ("POST /predictions/%ff HTTP/1.1", 404, "unknown_route"),
    "a slash behind": ("POST {}/ HTTP/1.1", 404, "unknown_route"),
    "dots": ("POST /predictions/../{} HTTP/1.1", 200, ""),
    "a host before the path": ("POST http://elsewhere{} HTTP/1.1", 200, ""),
    "HTTP/1.0": ("POST {} HTTP/1.0", 200, ""),
    "HTTP/2.0": ("POST {} HTTP/2.0", 505, "bad_request"),
    "another Expect": ("POST {} HTTP/1.1\r\nExpect: 200-ok", 200, ""),
    "two hosts": ("POST {} HTTP/1.1\r\nHost: y", 400, "bad_request"),
    "two lengths": ("POST {} HTTP/1.1\r\nContent-Length: 4", 400, "bad_request"),
    "length and chunks": ("POST {} HTTP/1.1\r\nTransfer-Encoding: chunked", 400, "bad_request"),
    "another encoding": ("POST {} HTTP/1.1\r\nTransfer-Encoding: gzip", 501, "bad_request"),
    "a long line": ("POST {} HTTP/1.1\r\nX: " + "a" * 9000, 431, "request_too_large"),
    "many lines": ("POST {} HTTP/1.1" + "\r\nX: aaaa" * 5000, 431, "request_too_large"),
    "a header on two lines": ("POST {} HTTP/1.1\r\nX: a\r\n b", 400, "bad_request"),
    "a header with NUL": ("POST {} HTTP/1.1\r\nX: \0", 400, "bad_request"),
}


@pytest.mark.parametrize("name", WIRE)
def test_what_no_library_sends_is_answered_as_documented(proxy: Proxy, config: ServerConfig, name: str) -> None:
    start, status, kind = WIRE[name]
    token = config.tokens().headers("inference")["Authorization"]
    head = f"{start.format(ROUTE)}\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: text/plain\r\n"
    parts, context = urlsplit(proxy.url), ssl.create_default_context(cafile=str(proxy.certificate))
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
    ):
        connection.sendall(f"{head}Content-Length: 4\r\n\r\nshoe".encode())
        response = HTTPResponse(connection)
        response.begin()
        answer = json.loads(response.read())
    assert (response.status, answer.get("type", "")) == (status, kind)


def test_the_token_is_the_servers_to_judge(proxy: Proxy, config: ServerConfig) -> None:
    for token in ({"Authorization": "Bearer wrong"}, config.tokens().headers("management")):
        with connected(proxy, token) as client:
            assert error(client.post(ROUTE, content=b"shoe")) == (400, "InvalidKeyException")


def test_the_handlers_own_errors_pass(http: httpx.Client) -> None:
    assert error(http.post(ROUTE, json={})) == (400, "missing_field")
    assert error(http.post(ROUTE, json={"text": "x" * 100_000})) == (413, "text_too_long")
    assert error(http.post("/predictions/none", content=b"x")) == (404, "ModelNotFoundException")


def test_what_is_too_large_is_refused(http: httpx.Client) -> None:
    assert error(http.post(ROUTE, content=bytes(6_553_501))) == (413, "request_too_large")
    assert error(http.post(ROUTE, content=b"x", headers={"X-Long": "x" * 40_000})) == (431, "request_too_large")
    assert error(http.post(f"/predictions/{'x' * 9000}", content=b"x")) == (414, "request_too_large")


def test_a_web_form_is_short(http: httpx.Client) -> None:
    """A worker reads it field by field: of two million it makes 12 s."""
    kind = "application/x-www-form-urlencoded"
    assert http.post(ROUTE, data={"text": TITLE}).status_code == 200
    for content_type in (kind, f"{kind.upper()}; charset=utf-8"):
        for body in (b"a=&" * 33_334, iter([b"a=&"])):  # too long, and of unknown length
            answer = http.post(ROUTE, content=body, headers={"Content-Type": content_type})
            assert error(answer) == (413, "request_too_large"), content_type


def test_a_body_within_the_limit_passes_whole(http: httpx.Client) -> None:
    """Larger than the proxy keeps in memory, and as large as the server takes."""
    assert error(http.post(ROUTE, content=b"\xff\xd8" + bytes(6_553_000), headers={"Content-Type": "image/jpeg"}))[
        0
    ] in (413, 422)


def test_a_query_does_not_pass(http: httpx.Client, proxy: Proxy) -> None:
    assert http.post(f"{ROUTE}?top_k=1&text=secret", json={"text": TITLE}).status_code == 200
    logged = (proxy.folder / "access.log").read_text()
    assert f" POST {ROUTE} 200 " in logged and "secret" not in logged and "Bearer" not in logged


def test_without_tls_nothing_is_heard(proxy: Proxy) -> None:
    plain = httpx.post(proxy.url.replace("https", "http") + ROUTE, content=b"x", trust_env=False)
    assert error(plain) == (400, "bad_request")
    old = ssl.create_default_context(cafile=str(proxy.certificate))
    old.maximum_version = old.minimum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=old, trust_env=False) as client:
        assert client.post(proxy.url + ROUTE).status_code == 401


def test_too_many_are_told_to_wait(config: ServerConfig, tmp_path: Path) -> None:
    with (
        running_proxy(tmp_path, config, **{"limit_req zone=requests": "burst=2 nodelay"}) as proxy,
        connected(proxy, config.tokens().headers("inference")) as client,
    ):
        answers = [client.post(ROUTE, content=b"shoe", headers={"Content-Type": "text/plain"}) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and {answer.status_code for answer in answers} == {200, 429}
    assert error(refused[0]) == (429, "too_many_requests") and refused[0].headers["Retry-After"] == "1"
    assert "Retry-After" not in answers[0].headers


def test_a_server_that_is_down_is_worth_another_try(config: ServerConfig, tmp_path: Path) -> None:
    with (
        running_proxy(tmp_path, config, proxy_pass="http://127.0.0.1:1$uri") as proxy,
        connected(proxy, config.tokens().headers("inference")) as client,
    ):
        answer = client.post(ROUTE, content=b"shoe")
    assert error(answer) == (503, "server_down") and answer.headers["Retry-After"] == "5"
    assert json.loads(answer.text)["message"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter of system calls is written for x86-64")
def test_without_ipv6_it_starts_and_with_ipv6_it_hears_both(config: ServerConfig, tmp_path: Path) -> None:
    """The line that listens on IPv6 alone keeps nginx from starting, so that it is a file of its own."""
    with running_proxy(tmp_path, config, through=WITHOUT_IPV6) as proxy, connected(proxy, {}) as client:
        assert error(client.post(ROUTE)) == (401, "missing_token")
    [port] = free_ports(1)
    line = (ROOT / "deploy" / "nginx-ipv6.conf").read_text(encoding="utf-8")
    (tmp_path / "nginx-ipv6.conf").write_text(line.replace("[::]:443", f"[::]:{port}"), encoding="utf-8")
    with pytest.raises(AssertionError, match="Address family not supported"):
        running_proxy(tmp_path, config, through=WITHOUT_IPV6).__enter__()
    if not Path("/proc/net/if_inet6").exists():
        return
    with running_proxy(tmp_path, config) as proxy:
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        context.check_hostname = False
        with httpx.Client(verify=context, trust_env=False) as client:
            assert error(client.post(f"https://[::1]:{port}{ROUTE}")) == (401, "missing_token")


def test_a_proxy_that_cannot_keep_a_body_says_so_in_json(config: ServerConfig, tmp_path: Path) -> None:
    """Its folder for bodies is gone, as on a full disk or without rights."""
    with (
        running_proxy(tmp_path, config) as proxy,
        connected(proxy, config.tokens().headers("inference")) as client,
    ):
        shutil.rmtree(tmp_path / "client_body")
        assert error(client.post(ROUTE, content=bytes(1_000_000))) == (500, "proxy_failed")
        assert client.post(ROUTE, content=b"shoe", headers={"Content-Type": "text/plain"}).status_code == 200
        address = proxy.url.removeprefix("https://")
        other = HTTPSConnection(address, context=ssl.create_default_context(cafile=str(proxy.certificate)))
        other.request("POST", ROUTE, headers={"Transfer-Encoding": "gzip"})  # which httpx does not send
        answer = other.getresponse()
        assert (answer.status, json.loads(answer.read())["type"]) == (501, "bad_request")
        other.close()
