"""A fake server with two versions of a model in its store, and the clients of it."""

from pathlib import Path

import pytest
from fake_torchserve import FakeTorchServe, write_archive

from client.api.inference import ProductClient
from client.api.management import Management
from client.api.tokens import KEY_FILE, Tokens
from client.archives.model_store import ModelStore
from client.rollout.rollout import Rollout
from client.server.logs import LoadFailures


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    folder = tmp_path / "model_store"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        write_archive(folder, "intermediate", version)
    (folder / "intermediate.mar").hardlink_to(folder / "intermediate-1.0.mar")
    return ModelStore(folder)


@pytest.fixture
def server(tmp_path: Path, store: ModelStore) -> FakeTorchServe:
    return FakeTorchServe(store.folder, tmp_path / KEY_FILE)


@pytest.fixture
def tokens(server: FakeTorchServe) -> Tokens:
    return Tokens(server.key_file, transport=server.transport)


@pytest.fixture
def client(server: FakeTorchServe, tokens: Tokens) -> ProductClient:
    return ProductClient(tokens=tokens, transport=server.transport)


@pytest.fixture
def management(server: FakeTorchServe, tokens: Tokens) -> Management:
    return Management(tokens=tokens, transport=server.transport)


@pytest.fixture
def serving(server: FakeTorchServe, management: Management) -> FakeTorchServe:
    """The server with version 1.0 as the default, as after a start."""
    management.register("intermediate.mar")
    server.requests.clear()
    return server


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def rollout(
    tmp_path: Path, client: ProductClient, management: Management, store: ModelStore, said: list[str]
) -> Rollout:
    failures = LoadFailures.from_now_on(tmp_path)
    return Rollout(client, management, store, failures, log=said.append, drain_grace=0)
