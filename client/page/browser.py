"""Opens the page in a real browser, for its tests and for the screenshots in the documentation.

Chromium comes from the system (``apt install chromium``), Playwright from the group ``browser`` in ``pyproject.toml``.
"""

import importlib.util
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from client.api.tokens import Tokens
from client.page.serving import HOST, PageOptions, listening, page_app
from client.server.config import ServerConfig

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
_NEEDED = {"gradio": "make ui", "playwright": "make setup-browser", "axe_playwright_python": "make setup-browser"}


def missing() -> str:
    """The missing requirement of a browser test, as a sentence; "" if nothing is missing."""
    for package, command in _NEEDED.items():
        if importlib.util.find_spec(package) is None:
            return f"needs the package {package}: {command}"
    return "" if _chromium() else "needs Chromium: apt install chromium"


@contextmanager
def running_page(config: ServerConfig, tokens: Tokens, options: PageOptions) -> Iterator[str]:
    """Serve the page on a free local port, in a thread of this process; yields its address."""
    import uvicorn  # noqa: PLC0415 - comes with Gradio

    with listening(0) as listener, page_app(config, tokens, options) as app:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + PATIENCE
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium, as Playwright's ``Browser``."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        # The sandbox does not work for root; only our own page is opened.
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def _chromium() -> str | None:
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)
