"""``predict``: classify one product, or several pictures, one after the other."""

import argparse
import json
import sys
from pathlib import Path

from client.api.errors import ClientError, ServerDown, ServerTimeout, TokenError
from client.api.inference import DEFAULT_MODEL
from client.api.predictions import Prediction
from client.commands.answer_text import prediction_text
from client.commands.arguments import Subcommands, echo
from client.commands.session import Session
from training.system.interrupts import tell

STANDARD_INPUT = "-"
_TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".zip", ".jsonl", ".gz", ".xml")


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("predict", help="classify a product by its picture, its title or both")
    command.add_argument("files", nargs="*", metavar="FILE", help="pictures: JPEG, PNG or WebP; - is standard input")
    command.add_argument(
        "--image", nargs="+", action="extend", default=[], metavar="FILE", help="the same as FILE, as an option"
    )
    command.add_argument("--text", metavar="TITLE", help="title of the product; with one picture at most")
    command.add_argument("--top-k", type=int, metavar="N", help="number of classes to list (default: the model's)")
    command.add_argument("--model", default=DEFAULT_MODEL, help="name of the model (default: %(default)s)")
    command.add_argument("--version", help="version of the model (default: its default version)")
    command.add_argument(
        "--full", action="store_true", help="compute everything, also where a cascade would answer earlier"
    )
    command.add_argument(
        "--json", action="store_true", help="print the server's answer as JSON; of several pictures a line each"
    )
    command.add_argument(
        "--shrink",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="shrink a picture that is larger than a request may be (default: no)",
    )
    command.set_defaults(command=predict)


def predict(session: Session) -> None:
    """Classify a product, or several pictures."""
    options = session.options
    images = [name for name in (*options.files, *options.image) if name]
    if not images and not options.text:
        raise ClientError("a product needs a picture, a title or both: --image FILE, --text TITLE")
    if len(images) > 1 and options.text:
        raise ClientError(f"--text is the title of one product, and {len(images)} pictures are named: name one")
    if images.count(STANDARD_INPUT) > 1:
        raise ClientError("standard input holds one picture: name - once")
    if len(images) > 1:
        _predict_each(session, images)
        return
    answer = _ask(session, images[0] if images else None)
    echo(json.dumps(answer.as_dict(), indent=2, ensure_ascii=False) if options.json else prediction_text(answer))


def _predict_each(session: Session, images: list[str]) -> None:
    """Print the answer to each picture; one that is refused does not stop the others."""
    failed = 0
    for name in images:
        try:
            answer = _ask(session, name)
        except (ServerDown, ServerTimeout, TokenError):
            raise
        except ClientError as error:
            failed += 1
            tell(f"error: {name}: {str(error).removeprefix(f'{name}: ')}", sys.stderr)
            continue
        if session.options.json:
            echo(json.dumps({"file": name, **answer.as_dict()}, ensure_ascii=False))
        else:
            echo(f"{name}: {prediction_text(answer)}")
    if failed:
        raise ClientError(f"{failed} of {len(images)} pictures have no answer")


def _ask(session: Session, name: str | None) -> Prediction:
    options = session.options
    image: str | bytes | None = name
    if name is not None and (name == STANDARD_INPUT or options.shrink):
        image = _content(name)
        if options.shrink:
            from client.scoring.shrinking import shrunk_picture  # noqa: PLC0415 - Pillow and NumPy take time

            image = shrunk_picture(image, name=name)
    elif name is not None:
        _check_file(name)
    return session.client.predict(
        image,
        options.text or None,
        top_k=options.top_k,
        model=options.model,
        version=options.version,
        full=options.full,
    )


def _content(name: str) -> bytes:
    if name == STANDARD_INPUT:
        if content := sys.stdin.buffer.read():
            return content
        raise ClientError("standard input is empty: send a picture, as in `cat shoe.jpg | python -m client predict -`")
    _check_file(name)
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ClientError(f"{name}: the picture cannot be read ({error.strerror})") from error


def _check_file(name: str) -> None:
    """Refuse what is no single picture, and say which command reads it."""
    path = Path(name)
    if path.is_dir():
        raise ClientError(
            f"{name} is a folder: name its pictures, as in {path / '*.jpg'}, or classify a catalogue with "
            "`python -m client score FOLDER --out RESULTS`"
        )
    if path.suffix.lower() in _TABLES:
        raise ClientError(f"{name} is no picture: `python -m client score FILE --out RESULTS` classifies a catalogue")
