"""Archives of a tiny run of all five models, and one live TorchServe that all tests here share."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import client, every_worker_lives, http, management, repack, rollout, running_server  # noqa: F401 - fixtures
from PIL import Image

from benchmarks.server.systems.torchserve_config import write_config
from client.api.management import Management
from client.archives.model_store import ModelStore
from client.server.config import ServerConfig
from export.build import build_archive
from export.run_products import read_run_products

OTHERS = ("image", "text", "early", "late")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a live server."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def store(trained_run: Path, intermediate_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """Version 1.0 of all five models, and 2.0 of the default one."""
    folder = tmp_path_factory.mktemp("e2e") / "model_store"
    test = read_run_products(trained_run, limit=None)
    # The machine's own choice is made by a measurement, which two processes need not take alike.
    for model in OTHERS:
        build_archive(trained_run, model, version="1.0", store=folder, test=test, engine="onnx")
    with zipfile.ZipFile(intermediate_archive) as content:
        settings = json.dumps({**json.loads(content.read("settings.json")), "engine": "onnx"}).encode()
    for version in ("1.0", "2.0"):
        archive = folder / f"intermediate-{version}.mar"
        repack(intermediate_archive, archive, version=version, changes={"settings.json": settings}, sealed=True)
    (folder / "intermediate.mar").hardlink_to(folder / "intermediate-1.0.mar")
    return ModelStore(folder)


@pytest.fixture(scope="session")
def config(store: ModelStore) -> Iterator[ServerConfig]:
    """Of the shared server, which runs while it is in use."""
    with running_server(write_config(store.folder.parent, store=store.folder)) as config:
        yield config


@pytest.fixture(scope="module")
def known_served(config: ServerConfig, known_archive: Path, store: ModelStore) -> Iterator[str]:
    """The name of the model whose reasons are known, while it is registered."""
    archive = store.folder / "known-1.0.mar"
    shutil.copy(known_archive, archive)
    with Management(config.management_url, tokens=config.tokens()) as server_api:
        server_api.register(archive.name)
        server_api.wait_ready("known", "1.0")
        yield "known"
        server_api.unregister("known", "1.0")
    archive.unlink()


@pytest.fixture(scope="session")
def picture(drawn_catalogue: Path) -> bytes:
    """A drawn product, as JPEG."""
    return (drawn_catalogue.parent / "images" / "00001.jpg").read_bytes()


@pytest.fixture(scope="session")
def encoded(picture: bytes) -> Callable[[str], bytes]:
    """The same picture in another format, without loss."""

    def encode(kind: str) -> bytes:
        buffer = io.BytesIO()
        options = {"lossless": True} if kind == "WEBP" else {}
        Image.open(io.BytesIO(picture)).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode
