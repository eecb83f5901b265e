"""HTTP over plain sockets: sends encoded requests over connections that stay open."""

import asyncio
import contextlib
from collections.abc import Mapping
from urllib.parse import urlsplit


def encode(path: str, *, headers: Mapping[str, str], body: bytes, method: str = "POST") -> bytes:
    """Encode a whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Connections:
    """Connections to one server. It opens another one when all are busy.

    Args:
        url: scheme, host and port.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the status and the body of the answer.

        Raises:
            OSError: there is no connection.
            EOFError: the connection ended before the answer did.
            ValueError: the answer is not HTTP.
        """
        reader, writer = await self._free()
        try:
            writer.write(request)
            await writer.drain()
            status, headers, body = await read_response(reader)
        except BaseException:
            writer.close()
            raise
        if headers.get("connection", "").lower() == "close":
            await close(writer)
        else:
            self._idle.append((reader, writer))
        return status, body

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await close(self._idle.pop()[1])

    async def _free(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            await close(writer)  # the server has closed it
        return await connect(self._url)


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection."""
    writer.close()
    with contextlib.suppress(OSError):  # the server closed it first
        await writer.wait_closed()


async def read_response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read the status, the headers (names in lower case) and the body.

    Raises:
        EOFError: the connection ended before the answer did.
        ValueError: the answer is not HTTP.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body
