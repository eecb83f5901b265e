"""Command line of a running server: ``python -m client COMMAND --help``.

Exit status: 0 done, 1 refused or not ready, 2 wrong arguments, 3 no server answers, 130 interrupted.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from client import render, server
from client.arguments import count, say
from client.audit import command as audit_command
from client.config import CONFIG, ServerConfig, read_config
from client.errors import ClientError, ServerDown, ServerTimeout
from client.inference import DEFAULT_MODEL, ProductClient
from client.logs import LoadFailures
from client.management import Management
from client.page import command as page_command
from client.readiness import check_ready
from client.rollout import Rollout
from client.scoring import command as scoring
from client.store import ModelStore
from client.trial import MAX_PRODUCTS, MIN_AGREEMENT, Sample, read_sample

EXIT_REFUSED, EXIT_NO_ANSWER, EXIT_INTERRUPTED = 1, 3, 130


class Session:
    """What the commands share: the configuration and clients of the server it names."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.options = options
        self.config: ServerConfig = read_config(options.config)
        tokens = self.config.tokens(options.key_file)
        self.client = stack.enter_context(ProductClient(self.config.inference_url, tokens=tokens))
        self.management = stack.enter_context(Management(self.config.management_url, tokens=tokens))
        self.store = ModelStore(self.config.model_store)
        self.rollout = Rollout(
            self.client, self.management, self.store, LoadFailures.from_now_on(self.config.folder), say=say
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            options.command(Session(options, stack))
    except (ServerDown, ServerTimeout) as error:
        return _failed(error, EXIT_NO_ANSWER)
    except ClientError as error:
        return _failed(error, EXIT_REFUSED)
    except KeyboardInterrupt:
        return _failed("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough; nothing may be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    return 0


def serve(session: Session) -> None:
    """Start the server, or say that it runs."""
    if server.find_server(session.config) is not None:
        say("The server runs already:")
        ready(session)
    else:
        server.start(session.config, timeout=session.options.timeout, say=say)


def stop(session: Session) -> None:
    """Stop the server that ``serve`` started."""
    if server.stop(session.config):
        say("The server is stopped.")
    else:
        say("No server that `serve` started is running here. One started by hand: torchserve --stop")


def ready(session: Session) -> None:
    """Check that models are served as they were verified."""
    models = session.options.models or session.management.models()
    if not models:
        raise ClientError("no model is registered; `python -m client register intermediate.mar` registers one")
    for model in models:
        say(check_ready(session.client, session.management, session.store, model=model))


def predict(session: Session) -> None:
    """Classify a product."""
    options = session.options
    if not options.image and not options.text:
        raise ClientError("a product needs a picture, a title or both: --image FILE, --text TITLE")
    answer = session.client.predict(
        options.image or None, options.text or None, top_k=options.top_k, model=options.model, version=options.version
    )
    say(json.dumps(answer.as_dict(), indent=2, ensure_ascii=False) if options.json else render.prediction(answer))


def versions(session: Session) -> None:
    """List what is registered."""
    models = [session.options.model] if session.options.model else session.management.models()
    found = [version for model in models for version in session.management.versions(model)]
    if session.options.json:
        say(json.dumps([dataclasses.asdict(version) for version in found], indent=2))
    else:
        say(render.versions(found))


def register(session: Session) -> None:
    """Register an archive of the model store."""
    session.rollout.register(session.options.archive, workers=session.options.workers)


def switch(session: Session) -> None:
    """Put another version in charge, or say what that would do."""
    options = session.options
    sample = options.sample and Sample(read_sample(options.sample, limit=options.sample_size), options.min_agreement)
    act = session.rollout.plan if options.dry_run else session.rollout.switch
    act(options.model, options.version, sample=sample)


def rollback(session: Session) -> None:
    """Go back to the version before."""
    session.rollout.rollback(session.options.model, session.options.version)


def retire(session: Session) -> None:
    """Take a version out of the server."""
    session.rollout.retire(session.options.model, session.options.version)


def score(session: Session) -> None:
    """Score a whole catalogue."""
    scoring.score(session.options, session.config)


def audit(session: Session) -> None:
    """Look for labels that may be wrong."""
    audit_command.audit(session.options, session.config)


def page(session: Session) -> None:
    """Show the page."""
    page_command.show(session.options, session.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("TS_CONFIG_FILE", CONFIG)),
        help="the server's configuration: addresses, model store (default: %(default)s)",
    )
    parser.add_argument("--key-file", type=Path, help="the server's tokens (default: key_file.json beside that file)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_server_commands(commands)
    _add_predict(commands)
    command = commands.add_parser("score", help="score a whole catalogue: predictions, a review queue, errors")
    scoring.add_options(command)
    command.set_defaults(command=score)
    command = commands.add_parser("audit", help="find the labels of a catalogue that may be wrong")
    audit_command.add_options(command)
    command.set_defaults(command=audit)
    command = commands.add_parser("page", help="a page to look at products with, in the browser")
    page_command.add_options(command)
    command.set_defaults(command=page)
    _add_version_commands(commands)
    return parser


def _add_server_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("serve", help="start TorchServe, and return when it has answered a product")
    command.add_argument(
        "--timeout", type=float, default=server.START_TIMEOUT, help="seconds to wait for it (default: %(default)g)"
    )
    command.set_defaults(command=serve, models=[])
    command = commands.add_parser("stop", help="stop what `serve` started")
    command.set_defaults(command=stop)
    command = commands.add_parser("ready", help="workers READY, and golden products answered as verified?")
    command.add_argument("models", nargs="*", metavar="MODEL", help="all that are registered by default")
    command.set_defaults(command=ready)


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("predict", help="classify a product by its picture, its title or both")
    command.add_argument("--image", metavar="FILE", help="JPEG, PNG or WebP")
    command.add_argument("--text", metavar="TITLE", help="the product's title")
    command.add_argument("--top-k", type=int, metavar="N", help="how many classes to list")
    command.add_argument("--model", default=DEFAULT_MODEL, help="registered name (default: %(default)s)")
    command.add_argument("--version", help="of the model; its default otherwise")
    command.add_argument("--json", action="store_true", help="the server's answer, for machines")
    command.set_defaults(command=predict)


def _add_version_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("versions", help="list models and versions, with their workers")
    command.add_argument("model", nargs="?", metavar="MODEL", help="all by default")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(command=versions)
    command = commands.add_parser(
        "register", help="register an archive of the model store, as one more model or version"
    )
    command.add_argument("archive", metavar="ARCHIVE", help="file name in the model store, such as late.mar")
    command.add_argument("--workers", type=int, help="worker processes (default: what it was made for)")
    command.set_defaults(command=register)
    for name, action, help_text in (
        ("switch", switch, "put another version in charge, if it answers as it was verified"),
        ("rollback", rollback, "go back to the version before, as safely"),
        ("retire", retire, "take a version that is not in charge out of the server, once it is idle"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("model", metavar="MODEL")
        command.add_argument("version", metavar="VERSION", nargs="?" if name == "rollback" else None)
        command.set_defaults(command=action)
        if action is switch:
            _add_switch_options(command)


def _add_switch_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    command.add_argument(
        "--sample",
        type=Path,
        metavar="FOLDER_OR_CSV",
        help="real products that both versions answer first: a folder of pictures, or a CSV with columns image, text",
    )
    command.add_argument(
        "--sample-size", type=count, default=MAX_PRODUCTS, metavar="N", help="of them, at most (default: %(default)s)"
    )
    command.add_argument(
        "--min-agreement",
        type=_share,
        default=MIN_AGREEMENT,
        metavar="SHARE",
        help="of the sample to be answered alike, 0..1; below it the new version is refused (default: %(default)s)",
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share of 0 to 1, such as 0.95")
    return share


def _failed(error: object, status: int) -> int:
    print(f"error: {error}" if isinstance(error, Exception) else error, file=sys.stderr)
    return status


def _end(*_: object) -> None:
    """A switch that is asked to end goes back as it does on Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
