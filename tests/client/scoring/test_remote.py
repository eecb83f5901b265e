"""The engine in front of a server: it waits for one that is busy, never asks for more than it may, and loses no row."""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_torchserve import FakeTorchServe, damage, error, read_form, scores_of
from stub_engine import fingerprint, rows_of, run

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.tokens import Tokens
from client.archives.model_store import ModelStore
from client.scoring import remote
from client.scoring.remote import ServerEngine, server_engine
from client.server.config import read_config

Fault = Callable[[httpx.Request], httpx.Response | None]
BUSY = error(503, "ServiceUnavailableException", 'Model "intermediate" has no worker to serve inference request.')


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(remote, "LONGEST_WAIT", 0.01)


@pytest.fixture
def titles(tmp_path: Path) -> Path:
    """A catalogue of 100 titles."""
    path = tmp_path / "titles.csv"
    lines = [f"{number},{('Shoes', 'Bags', 'Socks')[number % 3]} {number}" for number in range(100)]
    path.write_text("\n".join(["id,image,text", *(line.replace(",", ",,", 1) for line in lines)]) + "\n")
    return path


def engine(serving: FakeTorchServe, tokens: Tokens, fault: Fault = lambda _: None, **options: Any) -> ServerEngine:
    """An engine whose server answers as ``fault`` says, or as usual where that says nothing."""
    lock = threading.Lock()

    def answered(request: httpx.Request) -> httpx.Response:
        found = fault(request)
        with lock:
            return serving.answer(request) if found is None else found

    transport = httpx.MockTransport(answered)
    usual: dict[str, Any] = {"model": "intermediate", "version": "1.0", "archive": "intermediate.mar", "connections": 4}
    return ServerEngine(lambda: ProductClient(tokens=tokens, transport=transport), **{**usual, **options})


def instances(request: httpx.Request) -> list[dict[str, str]]:
    if request.headers["Content-Type"] != "application/json":
        return [read_form(request.headers["Content-Type"], request.content)]
    document = json.loads(request.content)
    return list(document.get("instances", [document]))


def labels(out: Path) -> dict[str, str]:
    return {row["id"]: row["label"] for row in rows_of(out / "predictions.csv")}


def reasons(out: Path) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in rows_of(out / "errors.csv")}


def test_rows_get_their_own_answers_from_the_version(
    serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path
) -> None:
    run(titles, tmp_path / "out", engine(serving, tokens, top_k=2))
    expected = [
        max(scores_of(("Shoes", "Bags", "Socks")[row % 3]).items(), key=lambda each: each[1]) for row in range(100)
    ]
    assert labels(tmp_path / "out") == {str(row): label for row, (label, _) in enumerate(expected)}
    assert {len(json.loads(row["top"])) for row in rows_of(tmp_path / "out" / "predictions.csv")} == {2}
    assert set(serving.calls("POST")) == {"/predictions/intermediate/1.0"}


def test_a_busy_server_is_asked_again(serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path) -> None:
    run(titles, tmp_path / "calm", engine(serving, tokens))
    numbers = iter(range(10**6))

    def troubled(_: httpx.Request) -> httpx.Response | None:
        match next(numbers) % 5:
            case 0 | 1:
                return BUSY
            case 2:
                raise httpx.ReadTimeout("slow")
            case 3:
                raise httpx.RemoteProtocolError("Server disconnected")
        return None

    run(titles, tmp_path / "busy", engine(serving, tokens, troubled))
    assert fingerprint(tmp_path / "busy") == fingerprint(tmp_path / "calm")


def test_there_are_never_more_requests_than_connections(
    serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path
) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def slow(_: httpx.Request) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1

    run(titles, tmp_path / "out", engine(serving, tokens, slow, connections=3))
    assert most == 3


def test_a_product_that_breaks_the_server_fails_alone(
    serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path
) -> None:
    asked: Counter[int] = Counter()

    def broken(request: httpx.Request) -> httpx.Response | None:
        asked.update([len(instances(request))])
        if any("Shoes 33" in entry["text"] for entry in instances(request)):
            return error(500, "InternalServerException", "Worker died.")
        return None

    run(titles, tmp_path / "out", engine(serving, tokens, broken))
    assert reasons(tmp_path / "out") == {"33": "InternalServerException"}
    assert len(labels(tmp_path / "out")) == 99
    assert asked[1] == remote.PRODUCTS_PER_REQUEST - 1 + remote.ATTEMPTS


def test_pictures_too_large_together_are_asked_alone(serving: FakeTorchServe, tokens: Tokens, tmp_path: Path) -> None:
    """A request's pictures have a limit together, in our handler (an item's 413) and in TorchServe (the request's)."""
    (tmp_path / "large.jpg").write_bytes(b"large")
    (tmp_path / "huge.jpg").write_bytes(b"huge")
    rows = [f"{row},{'large.jpg' if row % 2 else ''},Shoes" for row in range(20)]
    (tmp_path / "shop.csv").write_text("\n".join(["id,image,text", *rows, "20,huge.jpg,Bags"]) + "\n")
    version = serving.models["intermediate"]["1.0"]
    large, huge = (base64.b64encode(content).decode() for content in (b"large", b"huge"))
    together = {"code": 413, "type": "image_too_large", "message": "the pictures of this request have too many pixels"}
    fine = serving._answer({"text": "Shoes"}, "intermediate", "1.0")

    def limited(request: httpx.Request) -> httpx.Response | None:
        products = instances(request)
        if any(product.get("image") == huge for product in products):
            return httpx.Response(413)
        alone = len(products) == 1
        version.answer = lambda product: together if product.get("image") == large and not alone else fine
        return None

    run(tmp_path / "shop.csv", tmp_path / "out", engine(serving, tokens, limited, connections=1))
    assert reasons(tmp_path / "out") == {"20": "RequestEntityTooLarge"}
    assert len(labels(tmp_path / "out")) == 20


def test_a_server_that_stays_away_ends_the_run_and_keeps_what_it_answered(
    serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path
) -> None:
    numbers = iter(range(10**6))

    def leaving(_: httpx.Request) -> httpx.Response | None:
        return None if next(numbers) < 8 else BUSY

    with pytest.raises(ClientError, match=r"has not answered for 0\.3 s.* the same command to continue"):
        run(titles, tmp_path / "out", engine(serving, tokens, leaving, connections=2, patience=0.3))
    said: list[str] = []
    run(titles, tmp_path / "out", engine(serving, tokens), log=said.append)
    assert len(labels(tmp_path / "out")) == 100
    assert "100 rows in 7 chunks, 64 already answered" in said


def test_a_model_that_is_gone_ends_the_run_at_once(
    serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path
) -> None:
    with pytest.raises(ClientError, match="lists the registered"):
        run(titles, tmp_path / "out", engine(serving, tokens, model="other"))


def test_a_new_token_is_found(serving: FakeTorchServe, tokens: Tokens, titles: Path, tmp_path: Path) -> None:
    numbers = iter(range(10**6))

    def renewing(_: httpx.Request) -> None:
        if next(numbers) == 5:
            serving.write_keys("second", expires="2099-01-01T00:00:00Z")

    run(titles, tmp_path / "out", engine(serving, tokens, renewing))
    assert len(labels(tmp_path / "out")) == 100


@pytest.fixture
def configured(tmp_path: Path, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose server is the fake one."""
    path = tmp_path / "config.properties"
    path.write_text("job_queue_size=10\n")
    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: real(**{**options, "transport": serving.transport}))
    return path


def test_an_engine_takes_the_default_version_and_half_of_the_queue(
    configured: Path, serving: FakeTorchServe, titles: Path, tmp_path: Path
) -> None:
    config = read_config(configured)
    made = server_engine(config, config.tokens(), model="intermediate")
    assert made.description == "intermediate 1.0 (a server, 5 connections)"
    run(titles, tmp_path / "out", made)
    assert len(labels(tmp_path / "out")) == 100


def test_the_queue_of_the_model_counts_where_the_server_says_it(
    configured: Path, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive has a number of its own, which wins over the configuration."""
    describe = FakeTorchServe._describe

    def with_capacity(server: FakeTorchServe, *names: str) -> dict[str, Any]:
        shown = describe(server, *names)
        return shown | {"jobQueueStatus": {"pendingRequests": 2, "remainingCapacity": 6}}

    monkeypatch.setattr(FakeTorchServe, "_describe", with_capacity)
    config = read_config(configured)
    assert "4 connections" in server_engine(config, config.tokens(), model="intermediate").description


def test_an_archive_that_is_built_anew_is_another_run(
    configured: Path, store: ModelStore, titles: Path, tmp_path: Path
) -> None:
    config = read_config(configured)
    run(titles, tmp_path / "out", server_engine(config, config.tokens(), model="intermediate"))
    damage(store.folder / "intermediate-1.0.mar")
    with pytest.raises(ClientError, match=r"another run: the archive has the same model and version but"):
        run(titles, tmp_path / "out", server_engine(config, config.tokens(), model="intermediate"))


def test_an_archive_elsewhere_is_told_by_its_name(configured: Path, store: ModelStore) -> None:
    for archive in store.folder.glob("*.mar"):
        archive.unlink()
    config = read_config(configured)
    made = server_engine(config, config.tokens(), model="intermediate")
    assert made.identity["archive"] == "intermediate.mar"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "intermediate", "connections": 6}, "6 connections are too many: .* queue of 10 .* at most 5"),
        ({"model": "other"}, "other is not registered; registered models: intermediate"),
        ({"model": "intermediate", "version": "9"}, "intermediate 9 is not registered"),
    ],
)
def test_what_cannot_be_asked_is_said_before(configured: Path, options: dict[str, Any], message: str) -> None:
    config = read_config(configured)
    with pytest.raises(ClientError, match=message):
        server_engine(config, config.tokens(), **options)


def test_a_model_without_workers_is_said_before(configured: Path, serving: FakeTorchServe) -> None:
    serving.models["intermediate"]["1.0"].workers = []
    config = read_config(configured)
    with pytest.raises(ClientError, match="has no READY worker"):
        server_engine(config, config.tokens(), model="intermediate")
