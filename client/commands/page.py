"""``page``: classify products in the browser. Slow modules are imported only when the page starts."""

from pathlib import Path

from client.api.errors import ClientError
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
    command.add_argument(
        "--corrections",
        type=Path,
        default=Path("corrections.csv"),
        metavar="FILE",
        help="file that gets the right classes that a person chooses, for `training train --corrections` (default: "
        "%(default)s)",
    )
    command.add_argument(
        "--review",
        type=Path,
        metavar="FOLDER",
        help="review a scored catalogue: the folder that `client score` wrote, or its review.csv",
    )
    command.add_argument("--data", type=Path, metavar="CATALOGUE", help="the catalogue of --review, for its pictures")
    command.set_defaults(command=page)


def page(session: Session) -> None:
    """Serve the page until the user interrupts it."""
    from client.page.serving import PageOptions, serve_page  # noqa: PLC0415 - takes seconds

    echo("The page is starting; Gradio takes some seconds.")
    given = session.options
    if given.data is not None and given.review is None:
        raise ClientError("--data is the catalogue of --review: name the scored folder too")
    options = PageOptions(examples=given.examples, corrections=given.corrections, review=given.review, data=given.data)
    serve_page(session.config, session.tokens, port=given.port, options=options, log=echo)
