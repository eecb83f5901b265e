"""Serves the page on this machine only, without outside requests, usage reports or files left behind."""

import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.management import Management
from client.api.tokens import Tokens
from client.page.examples import MAX_EXAMPLES, golden_examples
from client.page.explained_answers import TIMEOUT, PageServer
from client.rollout.sample import read_sample
from client.server.config import ServerConfig

HOST = "127.0.0.1"
MAX_UPLOAD = "2gb"
# The browser loads nothing from other addresses, whatever a part of the page asks for.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
_SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")


def serve_page(
    config: ServerConfig,
    tokens: Tokens,
    *,
    port: int,
    examples: Path | None = None,
    log: Callable[[str], None] = print,
) -> None:
    """Serve the page until the user interrupts it.

    Args:
        config: configuration of the server that answers.
        tokens: the server's tokens.
        port: port on this machine.
        examples: a folder of pictures, or a CSV; None takes the golden products of the loaded archives.
        log: gets the address of the page.

    Raises:
        ClientError: Gradio is not installed, the port is taken, or the examples cannot be read.
    """
    import uvicorn  # noqa: PLC0415 - comes with Gradio

    with listening(port) as listener, page_app(config, tokens, examples=examples) as app:
        log(f"The page is at http://{HOST}:{listener.getsockname()[1]} (Ctrl-C ends it)")
        settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
        uvicorn.Server(settings).run(sockets=[listener])


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A listening socket on this machine's loopback address.

    Raises:
        ClientError: the port is taken.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ClientError(
                f"port {port} cannot be used ({error.strerror}); choose another one with --port N"
            ) from error
        listener.listen()
        yield listener


@contextmanager
def page_app(config: ServerConfig, tokens: Tokens, *, examples: Path | None = None) -> Iterator[Any]:
    """The page as an ASGI application; its uploads and results are removed at the end.

    Raises:
        ClientError: Gradio is not installed, or the examples cannot be read.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-")))
        stack.enter_context(_environment(folder / "uploads"))
        gr, fastapi = _gradio()
        from client.page.app import STYLE, build_page  # noqa: PLC0415 - loads Gradio

        client = stack.enter_context(ProductClient(config.inference_url, tokens=tokens, timeout=TIMEOUT))
        management = stack.enter_context(Management(config.management_url, tokens=tokens))
        found = golden_examples(config, folder) if examples is None else read_sample(examples, limit=MAX_EXAMPLES)
        page = build_page(PageServer(config, tokens, client, management), found, folder=folder)
        theme = gr.themes.Base(  # Gradio's own fonts come from the internet
            primary_hue="blue", secondary_hue="blue", neutral_hue="slate", radius_size="lg", font=_SYSTEM_FONTS,
            font_mono=("ui-monospace", "DejaVu Sans Mono", "monospace"),
        )  # fmt: skip
        app = fastapi.FastAPI(openapi_url=None)
        gr.mount_gradio_app(
            app, page, path="/", css_paths=[STYLE], theme=theme, footer_links=[], run_history=False,
            max_file_size=MAX_UPLOAD, show_error=False, ssr_mode=False, allowed_paths=[str(folder)],
            enable_monitoring=False, pwa=False, mcp_server=False,
        )  # fmt: skip
        yield _with_headers(app)


@contextmanager
def _environment(uploads: Path) -> Iterator[None]:
    """Set the environment variables that Gradio reads at its import and with every upload; restore them at the end."""
    wanted = {"GRADIO_TEMP_DIR": str(uploads), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _gradio() -> tuple[Any, Any]:
    """Import Gradio and FastAPI."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from Gradio's dependencies
            import fastapi  # noqa: PLC0415
            import gradio  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ClientError(f"the page needs the package {error.name}; `make ui` installs what it needs") from error
    return gradio, fastapi


def _with_headers(app: Any) -> Any:
    """The application with :data:`HEADERS` on every response."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name, value) for name, value in message["headers"] if name.lower() not in HEADERS]
                message = {**message, "headers": [*own, *HEADERS.items()]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return asgi
