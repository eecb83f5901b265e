"""Requests as bytes, and the answer to one on a connection of its own."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 60.0


def encode(path: str, *, headers: dict[str, str], body: bytes, method: str = "POST") -> bytes:
    """A whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def first_answer(url: str, request: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer; an empty object where it is none.

    Raises:
        OSError: there is no answer.
    """
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    try:
        return response.status, json.loads(body)
    except ValueError:
        return response.status, {}
