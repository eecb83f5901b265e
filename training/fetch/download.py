"""Get one picture: redirects, limits, and the proof that it is one."""

import dataclasses
import email.utils
import io
import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import httpcore
import httpx
from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import ProductSettings
from training.catalog.files import LIMITS
from training.fetch.errors import FetchError
from training.fetch.network import Deadline

MOST_REDIRECTS = 5
MAX_ADDRESS_CHARS = 8192
CHUNK_BYTES = 65_536
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one picture may take.

    Args:
        seconds: from the first connection to the last byte, redirects included.
        max_bytes: of its file, also after a ``Content-Encoding`` was undone.
        max_pixels: by its header.
    """

    seconds: float = 60.0
    max_bytes: int = LIMITS.max_image_bytes
    max_pixels: int = LIMITS.max_image_pixels


class Downloaded(NamedTuple):
    """A picture that came: its bytes, and the suffix of its format."""

    content: bytes
    suffix: str


class Downloader:
    """Gets pictures; safe in threads.

    Args:
        client: of :func:`training.fetch.network.open_client`.
        deadline: that of the client's network.
    """

    def __init__(self, client: httpx.Client, deadline: Deadline, limits: Limits) -> None:
        self._client = client
        self._deadline = deadline
        self._limits = limits
        self._settings = dataclasses.replace(
            LIMITS, max_image_bytes=limits.max_bytes, max_image_pixels=limits.max_pixels
        )

    def get(self, address: str) -> Downloaded:
        """Get a picture.

        Raises:
            FetchError: it cannot be had.
        """
        try:
            with self._deadline.of(self._limits.seconds):
                content, kind = self._followed(parse_address(address))
        except (httpx.TimeoutException, httpcore.TimeoutException) as error:
            raise FetchError("timeout", f"no whole answer within the time ({_text(error)})", again=True) from error
        except (httpx.InvalidURL, ValueError) as error:
            # httpx reads a redirect's address too, although it does not follow it.
            raise FetchError(
                "address_invalid", f"it leads to something that is no web address ({_text(error)})"
            ) from error
        except (httpx.RequestError, httpx.StreamError) as error:
            raise FetchError("connection_failed", _text(error), again=True) from error
        return Downloaded(content, self._suffix(content, kind))

    def _followed(self, url: httpx.URL) -> tuple[bytes, str]:
        """The body and its declared type, after at most ``MOST_REDIRECTS`` redirects; each one is checked."""
        for _ in range(MOST_REDIRECTS + 1):
            with self._client.stream("GET", url) as response:
                if response.status_code not in REDIRECTS:
                    _check_status(response)
                    return self._body(response), response.headers.get("content-type", "no type")
                target = response.headers.get("location", "")
            url = parse_address(str(url.join(target)))
        raise FetchError(
            "too_many_redirects", f"more than {MOST_REDIRECTS} redirects, the last one to {str(url)[:200]}"
        )

    def _body(self, response: httpx.Response) -> bytes:
        limit = self._limits.max_bytes
        too_large = FetchError("image_too_large", f"more than {limit:,} bytes")
        declared = response.headers.get("content-length", "")
        if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
            raise too_large
        body = bytearray()
        for chunk in _decoded(response, limit):
            self._deadline.left(None)
            body += chunk
            if len(body) > limit:
                raise too_large
        return bytes(body)

    def _suffix(self, content: bytes, kind: str) -> str:
        try:
            return checked_suffix(content, self._settings)
        except ProductError as error:
            detail = f"the server sent {len(content):,} bytes of {kind[:80]!r}: {error.message.removeprefix('image: ')}"
            raise FetchError(error.type, detail) from error


def checked_suffix(content: bytes, settings: ProductSettings) -> str:
    """Decode a picture; returns the suffix of its format, whatever its name or type says.

    Raises:
        ProductError: it is no picture, damaged, or beyond the limits of the settings.
    """
    open_picture(content, settings)
    with Image.open(io.BytesIO(content), formats=tuple(SUFFIXES)) as opened:
        return SUFFIXES[str(opened.format)]


def parse_address(address: str) -> httpx.URL:
    """A web address; ``//host`` and ``www.host`` are read as https.

    Raises:
        FetchError: it is none of http or https.
    """
    if len(address) > MAX_ADDRESS_CHARS:
        raise FetchError("address_invalid", f"an address of {len(address):,} characters")
    if address.startswith("//") or address[:4].lower() == "www.":
        address = f"https://{address.lstrip('/')}"
    try:
        url = httpx.URL(address.strip())
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise FetchError("address_invalid", f"{address[:200]!r} is no web address ({error})") from error
    if url.scheme not in ("http", "https"):
        raise FetchError("address_refused", f"only http and https are fetched, not {url.scheme[:20]!r}")
    if not url.host or not 0 < (url.port or 80) < 65_536:
        raise FetchError("address_invalid", f"{address[:200]!r} names no host, or a port that none can have")
    return url


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    detail = f"the server answered {status} {response.reason_phrase[:80]}".rstrip()
    wait = _retry_after(response.headers.get("retry-after", ""))
    raise FetchError(f"http_{status}", detail, again=status in BUSY, wait=wait)


def _retry_after(header: str) -> float:
    """Seconds of a ``Retry-After``, which is a number or a date; 0 if it is neither."""
    if header.strip().isdecimal() and len(header) < 10:
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return 0.0


def _decoded(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body without its ``Content-Encoding``; a chunk is never unpacked beyond the limit.

    We ask for none, but some servers send one all the same.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("identity", ""):
        yield from response.iter_raw(CHUNK_BYTES)
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise FetchError("encoding_refused", f"the server sent the encoding {coding[:40]!r}, which nobody asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS + 32)
    unpacked = 0
    try:
        for chunk in response.iter_raw(CHUNK_BYTES):
            part = unpacker.decompress(chunk, limit + 1 - unpacked)
            unpacked += len(part)
            yield part
            if unpacked > limit or unpacker.eof:
                return
    except zlib.error as error:
        raise FetchError("image_corrupt", f"its {coding} is damaged: {error}") from error


def _text(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
