"""TorchServe's tokens, read from the key file in the server's working folder and renewed when they have expired."""

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from client.api.errors import ClientError, ServerDown
from client.api.proxies import http_client

KEY_FILE = "key_file.json"
MANAGEMENT_URL = "http://127.0.0.1:8081"
Role = Literal["inference", "management"]
_WRITING = 1.0  # seconds; the server uses a new token before it has written it, and overwrites the file in place
_POLL = 0.05
_RENEWAL = 5.0  # seconds


class Tokens:
    """The tokens of one server; safe to share between threads.

    Args:
        path: the key file. If it does not exist, requests carry no token, as for a server without token checks.
        management_url: address that renews an expired token; the API key is read from the same file.
        transport: replaces the network of the renewal in tests.
    """

    def __init__(
        self,
        path: Path = Path(KEY_FILE),
        *,
        management_url: str = MANAGEMENT_URL,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.path = path
        self._management_url = management_url
        self._transport = transport
        self._keys: dict[str, dict[str, str]] | None = None
        self._refreshing = threading.Lock()

    def headers(self, role: Role | Literal["API"]) -> dict[str, str]:
        """The header that authorises a request; empty without a key file.

        Raises:
            ClientError: the key file cannot be read.
        """
        if self._keys is None:
            self._keys = self._read()
        return {"Authorization": f"Bearer {self._keys[role]['key']}"} if self._keys else {}

    def wait_for(self, role: Role, *, timeout: float) -> str:
        """Wait for the key file and return the token; an expired one is renewed first.

        Args:
            role: API that the token opens.
            timeout: seconds to wait for the file.

        Raises:
            ClientError: the key file does not appear in time or cannot be read.
            ServerDown: the token has expired, and no server answers to renew it.
        """
        deadline = time.monotonic() + timeout
        while not (header := self.headers(role)):
            if time.monotonic() >= deadline:
                raise ClientError(
                    f"{self.path} does not exist: no server with token checks runs in that folder. "
                    "Start one with `make serve`, or name the key file of another server with --key-file FILE"
                )
            time.sleep(_POLL)
            self._keys = None
        if self._expired(role):
            try:
                self.refresh(role, header)
            except httpx.HTTPError as error:
                raise ServerDown(f"the token in {self.path} has expired, and no server renews it ({error})") from error
        return self.headers(role)["Authorization"].removeprefix("Bearer ")

    def refresh(self, role: Role, refused: Mapping[str, str]) -> bool:
        """Replace a token that the server refused: read the key file again, then renew the token if it has expired.

        One thread at a time, since a renewal makes the previous token invalid.

        Args:
            role: API that the token opens.
            refused: the header with the refused token, as from :meth:`headers`.

        Returns:
            True if the token is another one now; another thread may have replaced it.

        Raises:
            ClientError: the key file cannot be read.
            httpx.HTTPError: the server does not renew the token.
        """
        with self._refreshing:
            if self.headers(role) == refused:
                self._read_another(role, refused)
            if self.headers(role) == refused and self._expired(role):
                with http_client(self._management_url, timeout=_RENEWAL, transport=self._transport) as client:
                    client.get("/token", params={"type": role}, headers=self.headers("API"))
                self._keys = self._read()
            return self.headers(role) != refused

    def _read_another(self, role: Role, refused: Mapping[str, str]) -> None:
        deadline = time.monotonic() + _WRITING
        while True:
            self._keys = self._read()
            may_come = self._keys and not self._expired(role) and time.monotonic() < deadline
            if self.headers(role) != refused or not may_come:
                return
            time.sleep(_POLL)

    def _expired(self, role: Role) -> bool:
        return bool(self._keys) and datetime.now(UTC) >= _expiration((self._keys or {})[role])

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            return _checked(self._written())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ClientError(
                f"{self.path} cannot be read as TorchServe's key file ({type(error).__name__})"
            ) from error

    def _written(self) -> Any:
        """The file's JSON; waits while the server is writing it."""
        deadline = time.monotonic() + _WRITING
        while True:
            try:
                return json.loads(self.path.read_text(encoding="utf-8"))
            except ValueError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_POLL)


def _expiration(entry: dict[str, str]) -> datetime:
    return datetime.fromisoformat(entry["expiration time"])


def _checked(keys: Any) -> dict[str, dict[str, str]]:
    """The content of the key file, with all three tokens present."""
    checked: dict[str, dict[str, str]] = {role: dict(keys[role]) for role in ("inference", "management", "API")}
    for role in ("inference", "management"):
        _expiration(checked[role])
    if not all(isinstance(entry["key"], str) for entry in checked.values()):
        raise TypeError("a key must be a string")
    return checked
