"""``predict``: classify one product."""

import json

from client.api.errors import ClientError
from client.api.inference import DEFAULT_MODEL
from client.commands.answer_text import prediction_text
from client.commands.arguments import Subcommands, echo
from client.commands.session import Session


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("predict", help="classify a product by its picture, its title or both")
    command.add_argument("--image", metavar="FILE", help="picture: JPEG, PNG or WebP")
    command.add_argument("--text", metavar="TITLE", help="title of the product")
    command.add_argument("--top-k", type=int, metavar="N", help="number of classes to list (default: the model's)")
    command.add_argument("--model", default=DEFAULT_MODEL, help="name of the model (default: %(default)s)")
    command.add_argument("--version", help="version of the model (default: its default version)")
    command.add_argument("--json", action="store_true", help="print the server's answer as JSON")
    command.set_defaults(command=predict)


def predict(session: Session) -> None:
    """Classify a product."""
    options = session.options
    if not options.image and not options.text:
        raise ClientError("a product needs a picture, a title or both: --image FILE, --text TITLE")
    answer = session.client.predict(
        options.image or None, options.text or None, top_k=options.top_k, model=options.model, version=options.version
    )
    echo(json.dumps(answer.as_dict(), indent=2, ensure_ascii=False) if options.json else prediction_text(answer))
