"""Hundreds of slow clients at the proxy: the others do not notice, and the server never hears of them."""

import asyncio
import contextlib
import random
import ssl
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from proxy import NGINX, OPENSSL, Proxy, running_proxy
from scale import Figures, count

from client.archives.model_store import Archive
from client.server.config import ServerConfig

pytestmark = pytest.mark.skipif(
    NGINX is None or OPENSSL is None, reason="needs nginx and openssl: apt install nginx-light"
)
ADDRESSES = [f"127.0.{third}.{last}" for third in range(1, 3) for last in range(2, 22)]
HEADER_TIMEOUT = 10.0


class SlowClients:
    """Each sends a byte now and then: half of them of their header, half of a body."""

    def __init__(self, proxy: Proxy, archive: Archive, token: str) -> None:
        self._proxy = proxy
        self._path = f"/predictions/{archive.model}"
        self._token = token
        self.connected = 0
        self.closed_after: list[float] = []
        self.end = threading.Event()

    async def run(self, number: int) -> None:
        await asyncio.gather(*map(self._one, range(number)))

    async def _one(self, number: int) -> None:
        context = ssl.create_default_context(cafile=str(self._proxy.certificate))
        port = int(self._proxy.url.rsplit(":", 1)[1])
        source = (
            ADDRESSES[number % len(ADDRESSES)],
            0,
        )  # a limit for each address must not be what protects the others
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1", local_addr=source
        )
        self.connected += 1
        began = time.monotonic()
        head = f"POST {self._path} HTTP/1.1\r\nHost: x\r\nAuthorization: {self._token}\r\nContent-Length: 500000\r\n"
        writer.write((head + ("\r\n" if number % 2 else "X-Slow: ")).encode())
        with contextlib.suppress(OSError):
            while not self.end.is_set() and not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1 + random.random()):
                        await reader.read(1000)
        if not self.end.is_set():
            self.closed_after.append(time.monotonic() - began)
        writer.transport.abort()


def median_and_p99(http: httpx.Client, path: str, number: int) -> tuple[float, float, set[int]]:
    spent, statuses = [], set()
    for _ in range(number):
        began = time.monotonic()
        statuses.add(http.post(path, json={"text": "a red shoe"}).status_code)
        spent.append(time.monotonic() - began)
        time.sleep(0.03)  # below the rate that an address may have
    return statistics.median(spent), sorted(spent)[int(0.99 * number)], statuses


def test_slow_clients(
    *,
    config: ServerConfig,
    archive: Archive,
    processes: Callable[[], dict[int, bool]],
    figures: Figures,
    tmp_path: Path,
) -> None:
    number, asked, before = count(100, 500), count(100, 1000), processes()
    token = config.tokens().headers("inference")
    with running_proxy(tmp_path, config) as proxy:
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        with httpx.Client(base_url=proxy.url, headers=token, verify=context, trust_env=False) as http:
            path = f"/predictions/{archive.model}"
            median_and_p99(http, path, 20)
            _, calm, _ = median_and_p99(http, path, asked)
            slow = SlowClients(proxy, archive, token["Authorization"])
            thread = threading.Thread(target=lambda: asyncio.run(slow.run(number)))
            thread.start()
            while slow.connected < number:
                time.sleep(0.05)
            _, rough, statuses = median_and_p99(http, path, asked)
            time.sleep(max(0.0, HEADER_TIMEOUT + 2 - 0.03 * asked))
            slow.end.set()
            thread.join()
    what = f"{number} slow clients through the proxy"
    figures.require(what, "the others are all answered", f"{statuses}", statuses == {200})
    figures.require(what, "no dead worker", f"{len(before.keys() - processes())}", before == processes())
    ended = len(slow.closed_after)
    figures.require(
        what,
        f"those slow with their header are gone after {HEADER_TIMEOUT:g} s",
        f"{ended} of {number - number // 2}, the last after {max(slow.closed_after, default=0):.1f} s",
        ended >= number // 2 and max(slow.closed_after) <= HEADER_TIMEOUT + 5,
    )
    figures.require_timing(
        what, "p99 of the others <= 1.2 times", f"{rough / calm:.2f} times {1000 * calm:.0f} ms", rough <= 1.2 * calm
    )
