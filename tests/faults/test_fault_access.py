"""Who may do what: every route, every wrong token, an expired one too; and nothing but loopback listens."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from live_server import LOOPBACK, ROUTES, listening, running_server
from scale import Figures

from benchmarks.server.systems.torchserve_config import write_config
from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.model_store import Archive, ModelStore
from client.server.config import ServerConfig, read_config

EXPIRY_SECONDS = 30


def refusals(config: ServerConfig, headers: Callable[[str], dict[str, str]]) -> list[str]:
    """The routes that did not refuse, with what they said."""
    open_routes = []
    for api, method, path in ROUTES:
        url = config.inference_url if api == "inference" else config.management_url
        response = httpx.request(method, url + path, headers=headers(api), trust_env=False)
        if response.status_code != 400 or response.json()["type"] != "InvalidKeyException":
            open_routes.append(f"{method} {path}: {response.status_code}")
    return open_routes


def test_every_route_refuses_every_wrong_token(config: ServerConfig, archive: Archive, figures: Figures) -> None:
    tokens = config.tokens()
    other = {"inference": "management", "management": "inference"}
    kinds: dict[str, Callable[[str], dict[str, str]]] = {
        "no": lambda api: {},
        "an empty": lambda api: {"Authorization": ""},
        "a wrong": lambda api: {"Authorization": "Bearer x"},
        "the other role's": lambda api: tokens.headers(other[api]),  # type: ignore[arg-type]
    }
    for name, headers in kinds.items():
        found = refusals(config, headers)
        figures.require(f"{len(ROUTES)} routes with {name} token", "all refused", f"open: {found or 'none'}", not found)
    with Management(config.management_url, tokens=tokens) as management:
        assert management.models() == [archive.model]


@pytest.fixture
def forgetful(archive: Archive, store: ModelStore, tmp_path: Path) -> Iterator[ServerConfig]:
    """A server whose tokens live for seconds."""
    config = write_config(tmp_path, store=store.folder, load_models=f"{archive.model}.mar")
    text = config.path.read_text()
    assert "token_expiration_min=1440" in text
    config.path.write_text(text.replace("token_expiration_min=1440", f"token_expiration_min={EXPIRY_SECONDS / 60}"))
    with running_server(read_config(config.path)):
        yield config


def test_expired_tokens_are_refused_and_renewed(forgetful: ServerConfig, archive: Archive, figures: Figures) -> None:
    tokens = forgetful.tokens()
    with ProductClient(forgetful.inference_url, tokens=tokens) as client:
        assert client.predict(text="shoe", model=archive.model).label
        old = {role: tokens.headers(role) for role in ("inference", "management")}  # type: ignore[arg-type]
        time.sleep(EXPIRY_SECONDS + 1)
        found = refusals(forgetful, lambda api: old[api])
        figures.require(
            f"{len(ROUTES)} routes with an expired token", "all refused", f"open: {found or 'none'}", not found
        )
        assert client.predict(text="shoe", model=archive.model).label
    assert tokens.headers("inference") != old["inference"]


def test_only_loopback_listens(
    config: ServerConfig, processes: Callable[[], dict[int, bool]], figures: Figures
) -> None:
    found = listening(set(processes()))
    addresses = {address for address, _ in found}
    figures.require(
        "what listens",
        f"{len(config.ports)} ports on loopback",
        f"{len(found)} ports, {len(addresses - LOOPBACK)} addresses outside loopback",
        {port for _, port in found} == set(config.ports) and addresses <= LOOPBACK,
    )
