"""Connections to public addresses only, with a deadline.

A name is resolved here, each of its addresses is checked, and the connection goes to the address that was checked. So
neither a redirect nor a name whose address changes between check and connection (rebinding) leads into a private
network. Proxies of the environment are not used: they would resolve names themselves.
"""

import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from socket import SOCK_STREAM, gaierror, getaddrinfo
from typing import Any

import httpcore
import httpx

from training.fetch.errors import FetchError

USER_AGENT = "multimodal-product-classifier (python -m training fetch)"
CONNECT_SECONDS, READ_SECONDS = 10.0, 20.0
MOST_TRIED = 3  # addresses of one name
Resolve = Callable[[str, int], Sequence[str]]
# IPv6 addresses that lead to the IPv4 address in their last 32 bits (RFC 6052), and those without a use of today.
_NAT64, _LOW = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/8")


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system gives them.

    Raises:
        OSError, UnicodeError: it has none.
    """
    found = getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def is_public(address: str) -> bool:
    """True for an address that anybody on the internet may reach; IPv4 addresses within IPv6 count as themselves."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped
        if inner is not None:
            return is_public(str(inner))
        if ip in _LOW or ip.sixtofour is not None or ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class Deadline:
    """The time that the calling thread has left for its picture."""

    def __init__(self) -> None:
        self._ends = threading.local()

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        """Give the calling thread so much time for the block."""
        self._ends.at = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._ends.at

    def left(self, wanted: float | None) -> float:
        """Seconds for one step, ``wanted`` at most.

        Raises:
            httpcore.ReadTimeout: none are left.
        """
        remaining: float = getattr(self._ends, "at", float("inf")) - time.monotonic()
        if remaining <= 0:
            raise httpcore.ReadTimeout("the time for this picture is over")
        return remaining if wanted is None else min(wanted, remaining)


class CheckedNetwork(httpcore.NetworkBackend):
    """Opens connections to checked addresses.

    Args:
        deadline: bounds every step, so that a server that sends a byte now and then does not hold a thread.
        allow_private: connect to any address.
        names: resolves names.
    """

    def __init__(self, deadline: Deadline, *, allow_private: bool = False, names: Resolve = resolve) -> None:
        self._network = httpcore.SyncBackend()
        self._deadline = deadline
        self._allow_private = allow_private
        self._resolve = names

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, connect.

        Raises:
            FetchError: the name is unknown, or one of its addresses is not public.
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answers.
        """
        *others, last = self._checked(host, port)[:MOST_TRIED]
        for address in others:
            try:
                return self._connect(address, port, timeout, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, timeout, socket_options)

    def connect_unix_socket(self, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        """Refuse: no web address means a socket of this machine."""
        raise FetchError("address_refused", "a socket of this machine is no web address")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._network.sleep(seconds)

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = list(self._resolve(host, port))
        except (gaierror, UnicodeError, OSError) as error:
            raise FetchError("host_unknown", f"the name {host!r} has no address ({error})", again=True) from error
        private = [address for address in addresses if not is_public(address)]
        if private and not self._allow_private:
            raise FetchError(
                "address_private",
                f"{host!r} is {private[0]}, an address of a private network or of this machine; --allow-private "
                "fetches from it",
            )
        if not addresses:
            raise FetchError("host_unknown", f"the name {host!r} has no address", again=True)
        return addresses

    def _connect(
        self, address: str, port: int, timeout: float | None, options: Iterable[Any] | None
    ) -> httpcore.NetworkStream:
        wanted = self._deadline.left(timeout)
        stream = self._network.connect_tcp(address, port, timeout=wanted, socket_options=options)
        return _TimedStream(stream, self._deadline)


class _TimedStream(httpcore.NetworkStream):
    """A connection, each step of which ends at the deadline of the calling thread."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def open_client(network: CheckedNetwork, *, connections: int) -> httpx.Client:
    """A client that connects over ``network`` only, keeps no cookies and follows no redirect by itself."""
    transport = httpx.HTTPTransport()
    transport._pool = httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=connections,
        max_keepalive_connections=connections,
        network_backend=network,
    )
    return httpx.Client(
        transport=transport,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=None),
        headers={
            "user-agent": USER_AGENT,
            "accept": "image/jpeg, image/png, image/webp",
            "accept-encoding": "identity",
        },
    )
