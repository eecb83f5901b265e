"""``serve``, ``stop``, ``ready`` and ``token``: the server on this machine."""

from client.api.errors import ClientError
from client.commands.arguments import Subcommands, say, seconds
from client.commands.session import Session
from client.server import local_server
from client.server.readiness import check_ready

TOKEN_TIMEOUT = 10.0


def add(commands: Subcommands) -> None:
    """Add the subcommands."""
    command = commands.add_parser("serve", help="start TorchServe, and return when it has answered a product")
    command.add_argument(
        "--timeout",
        type=seconds,
        default=local_server.START_TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for it (default: %(default)g)",
    )
    command.set_defaults(command=serve, models=[])
    command = commands.add_parser("stop", help="stop the server that `serve` started")
    command.set_defaults(command=stop)
    command = commands.add_parser("ready", help="check that workers are READY and golden products answered as verified")
    command.add_argument("models", nargs="*", metavar="MODEL", help="all that are registered by default")
    command.set_defaults(command=ready)
    command = commands.add_parser("token", help='print the server\'s token: curl -H "Authorization: Bearer TOKEN"')
    command.add_argument(
        "--api",
        choices=("inference", "management"),
        default="inference",
        help="the API that it opens (default: %(default)s)",
    )
    command.add_argument(
        "--timeout",
        type=seconds,
        default=TOKEN_TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for a server that has just been started (default: %(default)g)",
    )
    command.set_defaults(command=token)


def serve(session: Session) -> None:
    """Start the server, or say that it runs."""
    if local_server.find_server(session.config) is not None:
        say("The server runs already:")
        ready(session)
    else:
        local_server.start(session.config, timeout=session.options.timeout, say=say)


def stop(session: Session) -> None:
    """Stop the server that ``serve`` started."""
    if local_server.stop(session.config):
        say("The server is stopped.")
    else:
        say("No server that `serve` started runs here. `torchserve --stop` stops one that was started by hand.")


def ready(session: Session) -> None:
    """Check that models are served as they were verified."""
    models = session.options.models or session.management.models()
    if not models:
        raise ClientError("no model is registered; `python -m client register intermediate.mar` registers one")
    for model in models:
        say(check_ready(session.client, session.management, session.store, model=model))


def token(session: Session) -> None:
    """Print a token, and nothing else: a shell takes it by ``KEY=$(python -m client token)``."""
    say(session.tokens.wait_for(session.options.api, timeout=session.options.timeout))
