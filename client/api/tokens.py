"""TorchServe's tokens: read from the key file that it writes where it was started, renewed when they have expired."""

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from client.api.errors import ClientError, ServerDown

KEY_FILE = "key_file.json"
MANAGEMENT_URL = "http://127.0.0.1:8081"
Role = Literal["inference", "management"]
_WRITING = 1.0  # seconds; the server asks for a new token before it has written it, and writes it in place
_POLL = 0.05


class Tokens:
    """The tokens of one server; threads may share them.

    Args:
        path: the key file. Where there is none, requests go out without a token: the server may do without.
        management_url: where a token whose time is over is renewed, with the API key of the same file.
        transport: of the renewal; for tests.
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
            ClientError: the file is no key file.
        """
        if self._keys is None:
            self._keys = self._read()
        return {"Authorization": f"Bearer {self._keys[role]['key']}"} if self._keys else {}

    def wait_for(self, role: Role, *, timeout: float) -> str:
        """A token by itself, once the server has written its key file; one that has expired is renewed.

        Args:
            role: of the token.
            timeout: seconds to wait for the file.

        Raises:
            ClientError: there is no such file, or it is no key file.
            ServerDown: the token has expired, and no server answers that would renew it.
        """
        deadline = time.monotonic() + timeout
        while not (header := self.headers(role)):
            if time.monotonic() >= deadline:
                raise ClientError(
                    f"{self.path} does not exist: no server that asks for tokens works in that folder. "
                    "`make serve` starts one; --key-file FILE names the tokens of another one"
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
        """Look for a better token than one that was refused: in the file, else from the server if it has expired.

        One thread at a time, since a renewal ends the token of the one before.

        Args:
            role: of the token.
            refused: the header that it was refused in, as from :meth:`headers`.

        Returns:
            Whether there is one now; another thread may have found it.

        Raises:
            ClientError: the file is no key file.
            httpx.HTTPError: the server cannot be asked for a new one.
        """
        with self._refreshing:
            if self.headers(role) == refused:
                self._read_another(role, refused)
            if self.headers(role) == refused and self._expired(role):
                self._renew(role)
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

    def _renew(self, role: Role) -> None:
        with httpx.Client(transport=self._transport, trust_env=False) as client:
            client.get(f"{self._management_url}/token", params={"type": role}, headers=self.headers("API"))

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
        """The file's JSON; one that is cut off, since the server is writing it, is waited for."""
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
    """The file's content, if it holds the three tokens."""
    checked: dict[str, dict[str, str]] = {role: dict(keys[role]) for role in ("inference", "management", "API")}
    for role in ("inference", "management"):
        _expiration(checked[role])
    if not all(isinstance(entry["key"], str) for entry in checked.values()):
        raise TypeError("a key must be a string")
    return checked
