"""Requests to this machine go through no proxy; others go as the environment says, or say what is wrong with it."""

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from client.api.errors import ClientError, ServerDown, ServerError
from client.api.inference import ProductClient
from client.api.management import Management
from client.api.proxies import http_client, is_this_machine, proxy_of

HERE = ["127.0.0.1", "127.8.8.8", "0.0.0.0", "localhost", "LOCALHOST", "shop.localhost", socket.gethostname()]
FAR = "http://products.example.com"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)


@pytest.fixture
def answering() -> Iterator[int]:
    """The port of a server that answers each request with JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"models": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", HERE)
def test_this_machine_needs_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")
    assert is_this_machine(host) and proxy_of(f"http://{host}:8080") is None


def test_this_machine_may_have_ipv6() -> None:
    assert is_this_machine("[::1]") is is_this_machine("::") is socket.has_ipv6 or not is_this_machine("::1")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "nobody.invalid", "", "a" * 300])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_this_machine(host) or host == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTP_PROXY", "junk"),
        ("HTTP_PROXY", "http://["),
        ("NO_PROXY", "localhost,fd00::/8,::1"),
        ("http_proxy", "http://127.0.0.1:1"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_server_here_answers_whatever_the_environment_says(
    answering: int, host: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    with Management(f"http://{host}:{answering}") as management:
        assert management.models() == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("socks5://user:secret@127.0.0.1:1", "socksio"),
        ("ftp://proxy.example.com", "Unknown scheme"),
        ("http://proxy.example.com:port", "Invalid port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ClientError) as caught:
        ProductClient(FAR)
    message = str(caught.value)
    assert "of ALL_PROXY cannot be used" in message and reason in message and "NO_PROXY" in message
    assert "secret" not in message


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    with ProductClient(FAR) as client, pytest.raises(ServerDown) as caught:
        client.predict(text="Red Shoe")
    assert "through the proxy http://127.0.0.1:1 of HTTP_PROXY" in str(caught.value)
    assert "add products.example.com to NO_PROXY" in str(caught.value) and "secret" not in str(caught.value)


def test_an_answer_of_the_proxy_itself_names_it(answering: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{answering}")
    with ProductClient(FAR) as client, pytest.raises(ServerError, match="through the proxy http://127"):
        client.predict(text="Red Shoe")  # a POST, which the fake one refuses


@pytest.mark.parametrize(
    ("entries", "url"),
    [
        ("localhost,fd00::/8,::1,.example.com", FAR),
        ("products.example.com", FAR),
        ("*", FAR),
        ("192.0.2.0/24", "http://192.0.2.7:8080"),
        ("fd00::/8", "http://[fd00::7]:8080"),
    ],
)
def test_hosts_and_networks_without_a_proxy(entries: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert proxy_of(url) is not None
    monkeypatch.setenv("no_proxy", entries)
    assert proxy_of(url) is None


def test_what_else_of_the_environment_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientError, match="is no address"):
        http_client("http://[", timeout=1)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(ClientError, match=r"SSL_CERT_FILE=/nowhere\.pem cannot be read"):
        http_client("https://products.example.com", timeout=1)
