"""HTTP connections to TorchServe: requests carry the right token, errors become exceptions that name the remedy."""

import http.client
import json
from typing import Any, ClassVar, Self

import httpx

from client.api.errors import INVALID_TOKEN, ServerDown, ServerError, ServerTimeout, TokenError
from client.api.proxies import http_client, proxy_of
from client.api.tokens import MANAGEMENT_URL, Role, Tokens

CONNECT_TIMEOUT = 5.0
_ATTEMPTS = 3


class ApiClient:
    """Base of the clients of both APIs: an HTTP connection pool to one address; the end of a ``with`` block closes it.

    Args:
        url: scheme, host and port; None takes TorchServe's default.
        tokens: the server's tokens; by default from the key file in the working folder.
        timeout: seconds to wait for an answer.
        transport: replaces the network in tests.

    Attributes:
        role: the token that the API asks for.
        default_url: TorchServe's default address.
    """

    role: ClassVar[Role]
    default_url: ClassVar[str]

    def __init__(
        self,
        url: str | None = None,
        *,
        tokens: Tokens | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = (url or self.default_url).rstrip("/")
        self._tokens = tokens or Tokens(management_url=self.url if self.role == "management" else MANAGEMENT_URL)
        self._timeout = timeout
        self._client = http_client(
            self.url, timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT), transport=transport
        )
        self._proxy = None if transport else proxy_of(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
            reason = str(error) or type(error).__name__
            if self._proxy:
                host = self._client.base_url.host
                how = f"through {self._proxy}: {reason}); check the proxy, or add {host} to NO_PROXY"
            else:
                how = f"{reason}); {_START}"
            raise ServerDown(f"no server answers at {self.url} ({how}") from error
        if response.is_error:
            raise _error_of(response, f" through {self._proxy}" if self._proxy else "")
        return response

    def close(self) -> None:
        """Close the pool."""
        self._client.close()

    def _authorised(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        """The response; a refused token is replaced and the request sent again."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            token = self._tokens.headers(self.role)
            headers = {**options.get("headers", {}), **token}
            response = self._client.request(method, path, **{**options, "headers": headers})
            if not (
                attempts_left
                and response.status_code == 400
                and INVALID_TOKEN in response.text
                and self._tokens.refresh(self.role, token)
            ):
                break
        return response


_START = "start it with `make serve`"
_WAITING = "requests wait as long as no worker is READY: check with `python -m client ready`"


def _error_of(response: httpx.Response, way: str) -> ServerError:
    try:
        document = json.loads(response.text)
        code, kind, message = int(document["code"]), str(document["type"]), str(document["message"])
    except (ValueError, TypeError, KeyError):
        status = response.status_code
        phrase = http.client.responses.get(status, "Unknown Error")
        code, kind, message = status, phrase.replace(" ", ""), f"the server answers {status} {phrase}{way}"
    error = TokenError if kind == INVALID_TOKEN else ServerError
    return error(code, kind, message)
