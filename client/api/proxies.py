"""Which proxy a request goes through: never one to this machine; else the environment says, as for curl.

httpx reads the same variables, but one entry that it cannot read, such as ``fd00::/8`` in NO_PROXY, ends every request.
"""

import ipaddress
import os
import socket
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpx

from client.api.errors import ClientError


class Proxy(NamedTuple):
    """A proxy of the environment.

    Args:
        variable: the environment variable that names it.
        url: its address, with user and password if it needs them.
    """

    variable: str
    url: str

    def __str__(self) -> str:
        scheme, _, rest = self.url.rpartition("://")
        return f"the proxy {scheme}://{rest.rpartition('@')[2]} of {self.variable}"


def proxy_of(url: str) -> Proxy | None:
    """The proxy for an address; None for a direct connection.

    Args:
        url: scheme, host and port.
    """
    proxies = getproxies_environment()
    parts = urlsplit(url)
    name = parts.scheme if proxies.get(parts.scheme) else "all"
    found, host = proxies.get(name), parts.hostname or ""
    if not found or is_this_machine(host) or proxy_bypass(parts.netloc, proxies) or _in_network(host):
        return None
    return Proxy(f"{name.upper()}_PROXY", found if "://" in found else f"http://{found}")


def http_client(
    url: str, *, timeout: httpx.Timeout | float, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """A client of one address, through the proxy that it needs.

    Args:
        url: scheme, host and port.
        timeout: seconds.
        transport: replaces the network in tests.

    Raises:
        ClientError: the environment names a proxy, or certificates, that cannot be used.
    """
    proxy = None
    try:
        proxy = None if transport else proxy_of(url)
        verify = httpx.create_ssl_context() if url.startswith("https:") else True  # reads SSL_CERT_FILE
        return httpx.Client(
            base_url=url,
            timeout=timeout,
            transport=transport,
            proxy=proxy and proxy.url,
            verify=verify,
            trust_env=False,
        )
    except OSError as error:
        raise ClientError(f"SSL_CERT_FILE={os.environ.get('SSL_CERT_FILE')} cannot be read ({error})") from error
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if proxy is None:
            raise ClientError(f"{url} is no address ({error}); write http://HOST:PORT") from error
        host = urlsplit(url).hostname
        raise ClientError(
            f"{proxy} cannot be used ({str(error).partition('.')[0]}); mend {proxy.variable}, or add {host} to NO_PROXY"
        ) from error


def is_this_machine(host: str) -> bool:
    """True for an address or a name of this machine, including 0.0.0.0 and ::."""
    name = host.strip("[]").lower()
    if name in ("localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    return any(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: socket.AddressFamily, address: tuple[object, ...]) -> bool:
    """The system gives a socket an address only if the machine has it."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def _in_network(host: str) -> bool:
    """True if NO_PROXY has a network, such as 10.0.0.0/8, with this address."""
    entries = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for entry in entries if (network := _network(entry.strip())) is not None)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
