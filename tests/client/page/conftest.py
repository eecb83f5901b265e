"""The fake server over HTTP, and the page in front of it in a real browser."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from fake_torchserve import FakeTorchServe, write_archive

from client.api.inference import ProductClient
from client.api.management import Management
from client.api.tokens import KEY_FILE, Tokens
from client.page.browser import PATIENCE, missing, open_browser, running_page
from client.page.product.explained_answers import PageServer
from client.page.serving import PageOptions
from client.server.config import ServerConfig, read_config

# Gradio's own, when a reload cuts its stream.
CUT = ("AbortError", "Unexpected error Connection errored out")
HERE = ("http://127.0.0.1:", "data:", "blob:")


@pytest.fixture
def page_server(tmp_path: Path, serving: FakeTorchServe, client: ProductClient, management: Management) -> PageServer:
    path = tmp_path / "config.properties"
    path.write_text("model_store=model_store\nload_models=intermediate.mar\n", encoding="utf-8")
    return PageServer(read_config(path), Tokens(serving.key_file), client, management)


class Relay(BaseHTTPRequestHandler):
    """Hands each request to the fake server."""

    fake: FakeTorchServe

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = f"http://{self.headers['Host']}{self.path}"
        response = self.fake.answer(httpx.Request(self.command, url, headers=dict(self.headers), content=body))
        self.send_response(response.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakeTorchServe:
    """A fake server with two versions in its store, the first of them registered."""
    folder = tmp_path_factory.mktemp("page-server")
    (folder / "model_store").mkdir()
    for version in ("1.0", "2.0"):
        write_archive(folder / "model_store", "intermediate", version)
    (folder / "model_store" / "intermediate.mar").hardlink_to(folder / "model_store" / "intermediate-1.0.mar")
    fake = FakeTorchServe(folder / "model_store", folder / KEY_FILE)
    Management(tokens=Tokens(fake.key_file, transport=fake.transport), transport=fake.transport).register(
        "intermediate.mar"
    )
    return fake


@pytest.fixture(scope="module")
def page_config(fake: FakeTorchServe) -> Iterator[ServerConfig]:
    """The configuration that leads to the fake server."""
    handler = type("FakeRelay", (Relay,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        path = fake.store.parent / "config.properties"
        url = f"http://127.0.0.1:{server.server_port}"
        path.write_text(
            f"inference_address={url}\nmanagement_address={url}\nmodel_store=model_store\n"
            "load_models=intermediate.mar\n",
            encoding="utf-8",
        )
        yield read_config(path)
        server.shutdown()
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if missing():
        pytest.skip(missing())
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page_of(page_config: ServerConfig) -> Callable[[PageOptions], AbstractContextManager[str]]:
    """Serves the page with some options; its address, while the block lasts."""
    return lambda options: running_page(page_config, page_config.tokens(), options)


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    """A tab that may fetch from this machine alone, and whose scripts do not fail."""
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.set_default_timeout(1000 * PATIENCE)
    faults: list[str] = []
    view.on("request", lambda request: request.url.startswith(HERE) or faults.append(request.url))
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("console", lambda message: message.type == "error" and faults.append(message.text))
    yield view
    view.close()
    assert not [each for each in faults if not each.startswith(CUT)]
