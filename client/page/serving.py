"""Serves the page on this machine only, without outside requests, usage reports or files left behind."""

import dataclasses
import os
import re
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
from client.page.product.explained_answers import TIMEOUT, PageServer
from client.page.review.corrections import Corrections
from client.page.review.desk import ReviewDesk
from client.page.review.opening import lay_out_queue
from client.rollout.sample import read_sample
from client.scoring.outputs import REVIEW
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
# A name that leads to this machine. Another one means that a foreign site has its name lead here (DNS rebinding).
_HERE = re.compile(rb"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
_SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What the page shows and writes.

    Args:
        examples: a folder of pictures, or a CSV; None takes the golden products of the loaded archives.
        corrections: file that gets the decisions.
        review: folder that ``client score`` wrote, or a ``review.csv``: opened for review. None opens none.
        data: catalogue of ``review``, for its pictures.
    """

    examples: Path | None = None
    corrections: Path = Path("corrections.csv")
    review: Path | None = None
    data: Path | None = None


def serve_page(
    config: ServerConfig,
    tokens: Tokens,
    *,
    port: int,
    options: PageOptions,
    log: Callable[[str], None] = print,
) -> None:
    """Serve the page until the user interrupts it.

    Args:
        config: configuration of the server that answers.
        tokens: the server's tokens.
        port: port on this machine.
        options: what the page shows and writes.
        log: gets the address of the page.

    Raises:
        ClientError: Gradio is not installed, the port is taken, or a file of the options cannot be read.
    """
    import uvicorn  # noqa: PLC0415 - comes with Gradio

    with listening(port) as listener, page_app(config, tokens, options) as app:
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
def page_app(config: ServerConfig, tokens: Tokens, options: PageOptions) -> Iterator[Any]:
    """The page as an ASGI application; its uploads and results are removed at the end, the corrections stay.

    Raises:
        ClientError: Gradio is not installed, or a file of the options cannot be read.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-")))
        stack.enter_context(_environment(folder / "uploads"))
        gr, fastapi = _gradio()
        from client.page.app import STYLES, build_page  # noqa: PLC0415 - loads Gradio

        client = stack.enter_context(ProductClient(config.inference_url, tokens=tokens, timeout=TIMEOUT))
        management = stack.enter_context(Management(config.management_url, tokens=tokens))
        page_server = PageServer(config, tokens, client, management)
        own = options.examples
        found = golden_examples(config, folder) if own is None else read_sample(own, limit=MAX_EXAMPLES)
        desk = ReviewDesk(Corrections(options.corrections.absolute()))
        if options.review is not None:
            queue = options.review / REVIEW if options.review.is_dir() else options.review
            lay_out_queue(page_server, desk, queue, catalog=options.data)
        page = build_page(page_server, found, desk, folder=folder)
        theme = gr.themes.Base(  # Gradio's own fonts come from the internet
            primary_hue="blue", secondary_hue="blue", neutral_hue="slate", radius_size="lg", font=_SYSTEM_FONTS,
            font_mono=("ui-monospace", "DejaVu Sans Mono", "monospace"),
        )  # fmt: skip
        app = fastapi.FastAPI(openapi_url=None)
        gr.mount_gradio_app(
            app, page, path="/", css_paths=STYLES, theme=theme, footer_links=[], run_history=False,
            max_file_size=MAX_UPLOAD, show_error=False, ssr_mode=False, allowed_paths=[str(folder)],
            enable_monitoring=False, pwa=False, mcp_server=False,
        )  # fmt: skip
        yield _local_only(_with_headers(app))


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


def _local_only(app: Any) -> Any:
    """The application without requests of foreign sites: it asks with the server's token, and writes a file."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not _is_local({bytes(name).lower(): value for name, value in scope["headers"]}):
            text = b"This page answers only this machine, at http://127.0.0.1; other sites may not ask it."
            headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS.items()]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": text})
            return
        await app(scope, receive, send)

    return asgi


def _is_local(headers: dict[bytes, bytes]) -> bool:
    host, origin = headers.get(b"host", b""), headers.get(b"origin")
    return bool(_HERE.fullmatch(host)) and (origin is None or origin.lower() == b"http://" + host.lower())
