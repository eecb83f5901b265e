"""HTTP connections to TorchServe: requests carry the right token, errors become exceptions that name the remedy."""

import http.client
import ipaddress
import json
from types import TracebackType
from typing import Any, Self

import httpx

from client.api.errors import INVALID_TOKEN, ServerDown, ServerError, ServerTimeout, TokenError
from client.api.tokens import Role, Tokens

CONNECT_TIMEOUT = 5.0
_ATTEMPTS = 3


class Connection:
    """An HTTP connection pool to one address.

    Args:
        url: scheme, host and port.
        role: the token that the API asks for.
        tokens: the server's tokens.
        timeout: seconds to wait for an answer.
        transport: replaces the network in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        role: Role,
        tokens: Tokens,
        timeout: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._role = role
        self._tokens = tokens
        self._timeout = timeout
        self._client = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT),
            transport=transport,
            trust_env=not _is_local(self.url),  # a proxy from the environment cannot reach this machine's loopback
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and return its response.

        Args:
            method: HTTP method.
            path: path below the address.
            options: arguments of ``httpx.Client.request``.

        Raises:
            ServerDown: nothing answers at the address.
            ServerTimeout: the server does not answer in time.
            TokenError: the server refuses the token, even after the key file was read again.
            ServerError: the server answers with any other error.
            ClientError: the key file cannot be read.
        """
        timeout = options.get("timeout", self._timeout)
        try:
            response = self._authorised(method, path, options)
        except httpx.TimeoutException as error:
            raise ServerTimeout(f"{self.url} did not answer within {timeout:g} s; {_WAITING}") from error
        except httpx.HTTPError as error:
            raise ServerDown(f"no server answers at {self.url} ({_reason(error)}); {_START}") from error
        if response.is_error:
            raise _error_of(response)
        return response

    def close(self) -> None:
        """Close the pool."""
        self._client.close()

    def _authorised(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        """The response; a refused token is replaced and the request sent again."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            token = self._tokens.headers(self._role)
            headers = {**options.get("headers", {}), **token}
            response = self._client.request(method, path, **{**options, "headers": headers})
            if not (attempts_left and _token_refused(response) and self._tokens.refresh(self._role, token)):
                break
        return response


class ApiClient:
    """Base of the clients of both APIs: a connection that the end of a ``with`` block closes.

    Args:
        url, role, tokens, timeout, transport: see :class:`Connection`.
    """

    def __init__(
        self, url: str, *, role: Role, tokens: Tokens, timeout: float, transport: httpx.BaseTransport | None
    ) -> None:
        self._connection = Connection(url, role=role, tokens=tokens, timeout=timeout, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_START = "start it with `make serve`"
_WAITING = "requests wait as long as no worker is READY: check with `python -m client ready`"


def _is_local(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token_refused(response: httpx.Response) -> bool:
    return response.status_code == 400 and INVALID_TOKEN in response.text


def _error_of(response: httpx.Response) -> ServerError:
    try:
        document = json.loads(response.text)
        code, kind, message = int(document["code"]), str(document["type"]), str(document["message"])
    except (ValueError, TypeError, KeyError):
        status = response.status_code
        phrase = http.client.responses.get(status, "Unknown Error")
        code, kind, message = status, phrase.replace(" ", ""), f"the server answers {status} {phrase}"
    error = TokenError if kind == INVALID_TOKEN else ServerError
    return error(code, kind, message)


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
