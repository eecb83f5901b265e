"""Tokens: found, read again, renewed when they have expired, and missed with a clear word."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fake_torchserve import TOKEN_MESSAGE, FakeTorchServe, error

from client.api.errors import ClientError, ServerDown, TokenError
from client.api.inference import ProductClient
from client.api.management import Management
from client.api.tokens import Tokens

LATER, BEFORE = "2099-01-01T00:00:00.5Z", "2020-01-01T00:00:00.123456789Z"


def test_each_api_gets_its_own_token(tokens: Tokens, server: FakeTorchServe) -> None:
    assert tokens.headers("inference") == {"Authorization": "Bearer first-inference"}
    assert tokens.headers("management") == {"Authorization": "Bearer first-management"}


def test_without_a_key_file_requests_carry_no_token(tmp_path: Path) -> None:
    assert Tokens(tmp_path / "key_file.json").headers("inference") == {}


def test_a_restarted_server_is_followed(client: ProductClient, serving: FakeTorchServe) -> None:
    client.predict(text="Shoes")
    serving.write_keys("second", expires=LATER)
    assert client.predict(text="Shoes").label == "Shoes"
    assert serving.renewals == 0


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_is_being_written_is_waited_for(
    tokens: Tokens, server: FakeTorchServe, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """The server empties the file before it writes the new tokens."""
    refused = tokens.headers("inference")
    server.write_keys("second", expires=LATER)
    whole = server.key_file.read_text()
    server.key_file.write_text(whole[: int(share * len(whole))])
    monkeypatch.setattr("client.api.tokens.time.sleep", lambda _: server.key_file.write_text(whole))
    assert tokens.refresh("inference", refused)
    assert tokens.headers("inference") == {"Authorization": "Bearer second-inference"}


def test_a_token_that_the_server_asks_for_before_it_is_written_is_waited_for(
    tokens: Tokens, server: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = tokens.headers("inference")
    monkeypatch.setattr("client.api.tokens.time.sleep", lambda _: server.write_keys("second", expires=LATER))
    assert tokens.refresh("inference", refused) and server.renewals == 0


def test_threads_that_are_refused_together_renew_once(serving: FakeTorchServe) -> None:
    """The fake, as the server, takes the newest token alone."""
    serving.write_keys("old", expires=BEFORE)
    tokens, together = Tokens(serving.key_file, transport=serving.transport), threading.Barrier(4, timeout=30)

    def handle(request: httpx.Request) -> httpx.Response:
        expired = request.headers["Authorization"].startswith("Bearer old")
        if expired:
            together.wait()
        return error(400, "InvalidKeyException", TOKEN_MESSAGE) if expired else serving.answer(request)

    with ProductClient(tokens=tokens, transport=httpx.MockTransport(handle)) as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: client.predict(text=text).label, ["Shoes"] * 4))
    assert answers == ["Shoes"] * 4 and serving.renewals == 1


def test_a_token_that_another_thread_has_found_is_taken(tokens: Tokens, server: FakeTorchServe) -> None:
    refused = tokens.headers("inference")
    server.write_keys("second", expires=LATER)
    assert tokens.refresh("inference", refused) and tokens.refresh("inference", refused)
    assert not tokens.refresh("inference", tokens.headers("inference")) and server.renewals == 0


@pytest.mark.parametrize("api", ["inference", "management"])
def test_an_expired_token_is_renewed(
    client: ProductClient, management: Management, serving: FakeTorchServe, api: str
) -> None:
    serving.write_keys("old", expires=BEFORE)
    client.predict(text="Shoes")  # read once, while the server still takes it
    serving.keys |= {"inference": "expired", "management": "expired"}
    assert client.predict(text="Shoes").label if api == "inference" else management.models()
    assert serving.renewals == 1


def test_another_servers_token_is_not_renewed(client: ProductClient, serving: FakeTorchServe) -> None:
    serving.keys |= {"inference": "of another server"}
    with pytest.raises(TokenError, match="--key-file") as caught:
        client.predict(text="Shoes")
    assert caught.value.code == 400
    assert serving.renewals == 0 and len(serving.requests) == 1


def test_a_renewal_that_does_not_help_ends(tmp_path: Path, server: FakeTorchServe) -> None:
    server.write_keys("old", expires=BEFORE)
    refusing = httpx.MockTransport(lambda request: error(400, "InvalidKeyException", TOKEN_MESSAGE))
    client = ProductClient(tokens=Tokens(server.key_file, transport=refusing), transport=refusing)
    with pytest.raises(TokenError):
        client.predict(text="Shoes")


def test_a_renewal_without_a_server_says_so(server: FakeTorchServe) -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    server.write_keys("old", expires=BEFORE)
    server.keys |= {"inference": "expired"}
    tokens = Tokens(server.key_file, transport=httpx.MockTransport(down))
    with pytest.raises(ServerDown, match="refused"):
        ProductClient(tokens=tokens, transport=server.transport).predict(text="Shoes")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"inference": {"key": "a"}}', "\xff", json.dumps(dict.fromkeys(("inference", "management"), 1))],
)
def test_a_file_that_holds_no_tokens_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr("client.api.tokens._WRITING", 0.0)
    path = tmp_path / "key_file.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ClientError, match=r"key_file\.json cannot be read as TorchServe's key file"):
        Tokens(path).headers("inference")
