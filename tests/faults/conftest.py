"""One live TorchServe of two workers that all faults are done to, the load it can take, and the table of what came."""

import base64
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from http_load import Load
from live_server import client, management, repack, rollout, running_server  # noqa: F401 - fixtures
from scale import Figures, count

from benchmarks.server.load.connections import encode
from benchmarks.server.systems.torchserve_config import write_config
from client.api.management import Management
from client.archives.golden_products import read_golden
from client.archives.model_store import Archive, ModelStore, identify_archive
from client.server import local_server
from client.server.config import ServerConfig
from client.server.processes import server_processes

WORKERS, WORKER_CONFIG = 2, "model-config.yaml"
CALLERS = 48
PRODUCTS = 32  # in a request to the small model
FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.server)
            item.add_marker(pytest.mark.timeout(count(300, 3600)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash[FIGURES]
    if figures.lines:
        terminalreporter.section("faults")
        terminalreporter.write_line(figures.markdown())
        if folder := os.environ.get("FAULTS_OUT"):
            figures.write(Path(folder))


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="session")
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What is served: the archive that FAULTS_ARCHIVE names, else the small model whose reasons are known."""
    named = os.environ.get("FAULTS_ARCHIVE")
    source = identify_archive(Path(named) if named else request.getfixturevalue("known_archive"))
    store = tmp_path_factory.mktemp("faults") / "model_store"
    store.mkdir()
    path = store / f"{source.model}-{source.version}.mar"
    config = yaml.safe_load(zipfile.ZipFile(source.path).read(WORKER_CONFIG))
    changed = yaml.safe_dump({**config, "minWorkers": WORKERS, "maxWorkers": WORKERS}).encode()
    repack(source.path, path, version=source.version, changes={WORKER_CONFIG: changed}, sealed=True)
    path.with_name(f"{source.model}.mar").hardlink_to(path)
    return Archive(path, source.model, source.version)


@pytest.fixture(scope="session")
def store(archive: Archive) -> ModelStore:
    return ModelStore(archive.path.parent)


@pytest.fixture(scope="session")
def config(store: ModelStore, archive: Archive) -> Iterator[ServerConfig]:
    """Of the server, with all its workers READY."""
    configuration = write_config(store.folder.parent, store=store.folder, load_models=f"{archive.model}.mar")
    with running_server(configuration):
        with Management(configuration.management_url, tokens=configuration.tokens()) as server_api:
            server_api.wait_ready(archive.model)
        yield configuration


@pytest.fixture
def processes(config: ServerConfig) -> Callable[[], dict[int, bool]]:
    """Process ids of the server; True for the front end, False for workers."""
    found = local_server.find_server(config)
    assert found is not None
    return lambda: server_processes(found.temporary)


@pytest.fixture(scope="session")
def ask_for(config: ServerConfig, archive: Archive) -> Callable[[dict[str, object]], bytes]:
    """A request for the archive's model from its JSON document."""
    headers = {**config.tokens().headers("inference"), "Content-Type": "application/json"}
    path = f"/predictions/{archive.model}"
    return lambda document: encode(path, headers=headers, body=json.dumps(document).encode())


@pytest.fixture(scope="session")
def products(archive: Archive) -> list[dict[str, object]]:
    """The golden products as JSON: pictures and titles as real as the archive's own."""
    golden = read_golden(archive.path).products
    fields = [{"text": each.text, "image": each.image and base64.b64encode(each.image).decode()} for each in golden]
    return [{name: value for name, value in each.items() if value is not None} for each in fields]


@pytest.fixture(scope="session")
def requests(products: list[dict[str, object]], ask_for: Callable[[dict[str, object]], bytes]) -> list[bytes]:
    """A golden product each."""
    return [ask_for(product) for product in products]


@pytest.fixture
def load(config: ServerConfig, requests: list[bytes]) -> Load:
    return Load(config.inference_url, requests)


@pytest.fixture(scope="session")
def capacity(config: ServerConfig, archive: Archive, requests: list[bytes], figures: Figures) -> float:
    """Answers a second that the server gives when it is never let go idle."""
    return measured_capacity(Load(config.inference_url, requests), f"capacity of {archive.model}", figures)


@pytest.fixture
def heavy(
    config: ServerConfig,
    requests: list[bytes],
    products: list[dict[str, object]],
    ask_for: Callable[[dict[str, object]], bytes],
) -> Load:
    """Requests of which one client can send three times what is answered: for lone ones the small model is too fast."""
    many = [ask_for({"instances": [product] * PRODUCTS}) for product in products]
    return Load(config.inference_url, requests if os.environ.get("FAULTS_ARCHIVE") else many)


@pytest.fixture
def heavy_capacity(heavy: Load, figures: Figures) -> float:
    return measured_capacity(heavy, "capacity, what overload is measured by", figures)


def measured_capacity(load: Load, what: str, figures: Figures) -> float:
    """Answers a second when the server is never let go idle."""
    seconds = count(3, 15)
    with load.callers(CALLERS):
        time.sleep(1)  # warm
        load.answers.clear()
        time.sleep(seconds)
        answered = len(load.answers)
    load.answers.clear()
    rate = answered / seconds
    figures.require(what, "answers", f"{rate:.0f}/s with {WORKERS} workers", rate > 0)
    return rate
