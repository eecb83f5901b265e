"""``page``: classify products in the browser. Slow modules are imported only when the page starts."""

from pathlib import Path

from client.commands.arguments import Subcommands, echo
from client.commands.session import Session

PORT = 7860


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("page", help="open a web page that classifies products")
    command.add_argument(
        "--port",
        type=int,
        default=PORT,
        metavar="N",
        help="port on this machine, 0 for a free one (default: %(default)s)",
    )
    command.add_argument(
        "--examples",
        type=Path,
        metavar="FOLDER_OR_CSV",
        help="example products: a folder of pictures, or a CSV with columns image, text (default: the golden products "
        "of the loaded archives)",
    )
    command.set_defaults(command=page)


def page(session: Session) -> None:
    """Serve the page until the user interrupts it."""
    from client.page.serving import serve_page  # noqa: PLC0415 - takes seconds

    echo("The page is starting; Gradio takes some seconds.")
    options = session.options
    serve_page(session.config, session.tokens, port=options.port, examples=options.examples, log=echo)
