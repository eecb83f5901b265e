"""Shared by all tests of a live TorchServe: the server, its clients and routes, changed archives, open ports."""

import hashlib
import json
import socket
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.model_store import ModelStore
from client.rollout.rollout import Rollout
from client.server import local_server
from client.server.config import ServerConfig
from client.server.logs import LoadFailures
from client.server.processes import server_processes
from handlers.product_serving.archive import SUMS, format_sums

PATIENCE = 60.0
LISTEN = "0A"
SERVER_MANIFEST = "MAR-INF/MANIFEST.json"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}

# API, method and path of every route.
ROUTES = [
    ("inference", "GET", "/ping"),
    ("inference", "POST", "/predictions/intermediate"),
    ("inference", "POST", "/predictions/intermediate/1.0"),
    ("inference", "POST", "/explanations/intermediate"),
    ("inference", "POST", "/invocations"),
    ("inference", "POST", "/v1/models/intermediate:predict"),
    ("inference", "OPTIONS", "/predictions/intermediate"),
    ("management", "GET", "/models"),
    ("management", "POST", "/models?url=late.mar"),
    ("management", "GET", "/models/intermediate"),
    ("management", "PUT", "/models/intermediate?min_worker=0"),
    ("management", "PUT", "/models/intermediate/1.0/set-default"),
    ("management", "DELETE", "/models/intermediate/1.0"),
    ("management", "GET", "/token?type=management"),
]


@contextmanager
def running_server(config: ServerConfig) -> Iterator[ServerConfig]:
    """A server with this configuration, as long as the block lasts."""
    local_server.start(config)
    try:
        yield config
    finally:
        stopped = local_server.stop(config)
    assert stopped


@pytest.fixture
def client(config: ServerConfig) -> Iterator[ProductClient]:
    with ProductClient(config.inference_url, tokens=config.tokens()) as client:
        yield client


@pytest.fixture
def management(config: ServerConfig) -> Iterator[Management]:
    with Management(config.management_url, tokens=config.tokens()) as management:
        yield management


@pytest.fixture
def rollout(config: ServerConfig, client: ProductClient, management: Management, store: ModelStore) -> Rollout:
    return Rollout(client, management, store, LoadFailures.from_now_on(config.folder))


@pytest.fixture
def every_worker_lives(config: ServerConfig, client: ProductClient, picture: bytes) -> Iterator[None]:
    """The server has the same processes after a test as before it, and answers."""
    found = local_server.find_server(config)
    assert found is not None
    before = server_processes(found.temporary)
    yield
    for _ in before:
        assert client.predict(picture).label
    assert server_processes(found.temporary) == before


@pytest.fixture
def http(config: ServerConfig) -> Iterator[httpx.Client]:
    """A plain HTTP client that has nothing of ours but the token."""
    with httpx.Client(base_url=config.inference_url, headers=config.tokens().headers("inference")) as client:
        yield client


def repack(
    source: Path, target: Path, *, version: str, changes: Mapping[str, bytes] | None = None, sealed: bool = False
) -> Path:
    """An archive again, as another version, with some of its files replaced: behind its checksums' back, or sealed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        manifest = json.loads(old.read(SERVER_MANIFEST))
        manifest["model"]["modelVersion"] = version
        content = {name: old.read(name) for name in old.namelist()} | {SERVER_MANIFEST: json.dumps(manifest).encode()}
        changed = {**content, **(changes or {})}
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in (changed if sealed else content).items()}
        sums.pop(SUMS)
        for name, data in {**changed, SUMS: format_sums(sums).encode()}.items():
            new.writestr(name, data)
    return target


def listening(processes: set[int]) -> set[tuple[str, int]]:
    """Local addresses, in the kernel's hexadecimal, and ports that some processes listen on."""
    sockets = set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            sockets.add(str(entry.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


def first_answer(url: str, request: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer; an empty object where it is none.

    Raises:
        OSError: there is no answer.
    """
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        body = response.read()
    try:
        return response.status, json.loads(body)
    except ValueError:
        return response.status, {}
