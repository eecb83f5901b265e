"""``predict``: ask the server about one product."""

import json

from client.api.errors import ClientError
from client.api.inference import DEFAULT_MODEL
from client.commands import text
from client.commands.arguments import Subcommands, say
from client.commands.session import Session


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("predict", help="classify a product by its picture, its title or both")
    command.add_argument("--image", metavar="FILE", help="JPEG, PNG or WebP")
    command.add_argument("--text", metavar="TITLE", help="the product's title")
    command.add_argument("--top-k", type=int, metavar="N", help="how many classes to list")
    command.add_argument("--model", default=DEFAULT_MODEL, help="registered name (default: %(default)s)")
    command.add_argument("--version", help="of the model; its default version otherwise")
    command.add_argument("--json", action="store_true", help="print the server's answer, for machines")
    command.set_defaults(command=predict)


def predict(session: Session) -> None:
    """Classify a product."""
    options = session.options
    if not options.image and not options.text:
        raise ClientError("a product needs a picture, a title or both: --image FILE, --text TITLE")
    answer = session.client.predict(
        options.image or None, options.text or None, top_k=options.top_k, model=options.model, version=options.version
    )
    say(json.dumps(answer.as_dict(), indent=2, ensure_ascii=False) if options.json else text.prediction(answer))
