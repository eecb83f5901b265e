"""Known holes of the front end's netty 4.1.53, through our nginx: a request is one request or refused, never two.

nginx reads the whole body, and passes it on with a Content-Length of its own. So neither chunks nor conflicting lengths
reach netty. Each case carries a second request, which netty alone would find in the first.
"""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from proxy import NGINX, OPENSSL, Proxy, running_proxy

from client.server.config import ServerConfig
from client.server.processes import server_processes

pytestmark = pytest.mark.skipif(
    NGINX is None or OPENSSL is None, reason="needs nginx and openssl: apt install nginx-light"
)
ROUTE, HIDDEN = "/predictions/intermediate", "/predictions/smuggled"
PATIENCE = 60.0
SECOND = f"POST {HIDDEN} HTTP/1.1\r\nHost: x\r\nAuthorization: {{token}}\r\nContent-Length: 1\r\n\r\nx"
CHUNKED = "POST {route} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n"
# CVE -> requests. {second} is the hidden request, {length} its length in hexadecimal.
HOLES: dict[str, list[str]] = {
    # A line feed alone ends a chunk's line for netty, and is part of its extension for others.
    "CVE-2025-58056": [
        CHUNKED + "2;\nxx\r\n{length}\r\n0\r\n\r\n{second}\r\n0\r\n\r\n",
        CHUNKED + "2;a\n\r\nxx\r\n0\r\n\r\n{second}",
    ],
    # A quoted value of an extension may hold what netty takes for the end of the line.
    "CVE-2026-33870": [
        CHUNKED + '1;a="\r\nX\r\n0\r\n\r\n{second}"\r\nY\r\n0\r\n\r\n',
        CHUNKED + '1;a="b\\"\r\n";c="\r\nX\r\n0\r\n\r\n{second}\r\n',
    ],
    # Sizes of chunks that overflow, or that are no hexadecimal numbers.
    "CVE-2026-42580": [
        CHUNKED + f"{size}\r\nshoe\r\n0\r\n\r\n{{second}}"
        for size in ("100000004", "FFFFFFFF00000004", "10000000000000004", "-4", "+4", "0x4", "4 4", " 4", "4\t", "")
    ],
    # A length and chunks in one request, also of HTTP/1.0 (CVE-2026-42581).
    "CVE-2026-42581": [
        "POST {route} HTTP/1.0\r\n{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}",
        "POST {route} HTTP/1.1\r\n{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}",
        "POST {route} HTTP/1.1\r\n{head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nshoe{second}",
        "POST {route} HTTP/1.1\r\n{head}Content-Length: 4, 5\r\n\r\nshoe{second}",
        "POST {route} HTTP/1.1\r\n{head}Content-Length: +4\r\n\r\nshoe{second}",
    ],
    # Transfer codings that are not exactly `chunked` (also CVE-2026-89044, CVE-2019-20444, CVE-2019-20445).
    "CVE-2026-42585": [
        "POST {route} HTTP/1.1\r\n{head}Content-Length: 4\r\n" + line + "\r\n\r\n0\r\n\r\n{second}"
        for line in (
            "Transfer-Encoding: chunked, xchunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            "X: a\r\n Transfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\n , identity",
            "Transfer-Encoding:chunked\x00",
        )
    ],
    # Control characters before a request.
    "CVE-2026-50020": [
        "POST {route} HTTP/1.1\r\n{head}Content-Length: 4\r\n\r\nshoe\x00\x01{second}",
        "\x00\x7f{second}",
    ],
}


@pytest.fixture(scope="module")
def proxy(config: ServerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("nginx"), config) as proxy:
        yield proxy


def statuses(proxy: Proxy, request: bytes) -> list[int]:
    """The status of every answer that comes on one connection."""
    parts, context = urlsplit(proxy.url), ssl.create_default_context(cafile=str(proxy.certificate))
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
    ):
        connection.sendall(request)
        connection.settimeout(2)
        received = b""
        with suppress(OSError):  # it waits for more of a request, or has closed in the middle of one
            while data := connection.recv(65536):
                received += data
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def reached(config: ServerConfig, path: str) -> int:
    """Requests for a path that the front end has answered."""
    log = config.state / "logs" / "access_log.log"
    return log.read_text().count(f"POST {path} ") if log.exists() else 0


@pytest.mark.parametrize(
    ("hole", "number"), [(hole, number) for hole, cases in HOLES.items() for number in range(len(cases))]
)
def test_a_request_is_one_or_refused(proxy: Proxy, config: ServerConfig, hole: str, number: int) -> None:
    token = config.tokens().headers("inference")["Authorization"]
    second = SECOND.format(token=token)
    head = f"Host: x\r\nAuthorization: {token}\r\nContent-Type: text/plain\r\n"
    text = HOLES[hole][number].format(route=ROUTE, head=head, second=second, length=f"{len(second) + 5:x}")
    before = reached(config, HIDDEN)
    found = statuses(proxy, text.encode("latin-1"))
    answered = [status for status in found if status != 400]
    assert len(answered) <= 1 and set(answered) <= {200, 413, 501}, found
    time.sleep(0.1)  # logs are written later
    assert reached(config, HIDDEN) == before


def test_cve_2024_29025_many_fields_of_a_form(proxy: Proxy, config: ServerConfig, picture: bytes) -> None:
    """netty keeps each field of a form, and counts none. The proxy limits a web form, the body's limit the others."""
    headers = config.tokens().headers("inference")
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n\r\n'
    forms = {
        "multipart/form-data; boundary=b": "".join(part.format(name) for name in range(60_000)).encode() + b"--b--\r\n",
        "application/x-www-form-urlencoded": b"a=&" * 2_000_000,
    }
    [front_end] = [process for process, leads in server_processes(running(config)).items() if leads]
    with httpx.Client(base_url=proxy.url, verify=context, trust_env=False, headers=headers, timeout=PATIENCE) as client:
        answers = [client.post(ROUTE, content=body, headers={"Content-Type": kind}) for kind, body in forms.items()]
        held = []
        for _ in range(3):  # Java's heap grows with the first ones
            for _ in range(4):
                client.post(ROUTE, content=next(iter(forms.values())), headers={"Content-Type": next(iter(forms))})
            held.append(resident(front_end))
        assert client.post(ROUTE, files={"image": picture}).status_code == 200
    assert [answer.status_code for answer in answers] == [400, 413], [answer.text for answer in answers]
    assert held[-1] - held[-2] < 100e6 and held[-1] < 900e6, held


def running(config: ServerConfig) -> Path:
    return next((config.state / ".torchserve").glob("run-*"))


def resident(process: int) -> float:
    """Bytes of memory that a process holds."""
    [found] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return 1024.0 * int(found)
