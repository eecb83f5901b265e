"""The answer to a request of bytes on a connection of its own."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 60.0


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
