"""``page``: look at products in the browser. Nothing is imported here that another command would wait for."""

from pathlib import Path

from client.commands.arguments import Subcommands, say
from client.commands.session import Session

PORT = 7860


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("page", help="a page to look at products with, in the browser")
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
    command.set_defaults(command=page)


def page(session: Session) -> None:
    """Show the page until it is interrupted."""
    from client.page.serving import serve_page  # noqa: PLC0415 - what it stands on takes seconds

    say("The page starts; Gradio takes some seconds.")
    options = session.options
    serve_page(session.config, session.tokens, port=options.port, examples=options.examples, say=say)
