"""Command line of the page: ``python -m client page``. Nothing is imported here that another command would wait for."""

import argparse
from pathlib import Path

from client.config import ServerConfig

PORT = 7860


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of ``page``."""
    command.add_argument(
        "--port", type=int, default=PORT, metavar="N", help="of the loopback, 0 for a free one (default: %(default)s)"
    )
    command.add_argument(
        "--examples",
        type=Path,
        metavar="FOLDER_OR_CSV",
        help="products to click: a folder of pictures, or a CSV with columns image, text (default: the golden products "
        "of the loaded archives)",
    )


def show(options: argparse.Namespace, config: ServerConfig) -> None:
    """Show the page until it is interrupted.

    Raises:
        ClientError: it cannot be shown; the message says what to mend.
    """
    from client.page.serving import serve_page  # noqa: PLC0415 - what it stands on takes seconds

    print("The page starts; Gradio takes some seconds.", flush=True)
    tokens = config.tokens(options.key_file)
    serve_page(config, tokens, port=options.port, examples=options.examples, say=lambda text: print(text, flush=True))
