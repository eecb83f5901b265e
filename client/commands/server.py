"""``serve``, ``stop``, ``ready`` and ``token``: the server on this machine."""

import contextlib

from client.api.errors import ClientError, ServerError
from client.commands.arguments import Subcommands, echo, seconds
from client.commands.session import Session
from client.server import local_server
from client.server.draining import DRAIN_LIMIT
from client.server.foreground import serve_in_foreground
from client.server.readiness import check_ready, restore_files

TOKEN_TIMEOUT = 10.0
ALIVE_TIMEOUT = 10.0


def add(commands: Subcommands) -> None:
    """Add the subcommands."""
    command = commands.add_parser("serve", help="start TorchServe and wait until it answers the golden products")
    command.add_argument(
        "--timeout",
        type=seconds,
        default=local_server.START_TIMEOUT,
        metavar="SECONDS",
        help="seconds to wait (default: %(default)g)",
    )
    command.add_argument(
        "--foreground",
        action="store_true",
        help="stay until SIGTERM or Ctrl-C, then answer what is under way and stop; for systemd and containers",
    )
    command.add_argument(
        "--drain",
        type=seconds,
        default=DRAIN_LIMIT,
        metavar="SECONDS",
        help="with --foreground: seconds that requests under way may take at the end (default: %(default)g)",
    )
    command.set_defaults(command=serve, models=[])
    command = commands.add_parser("stop", help="stop the server that `serve` started")
    command.set_defaults(command=stop)
    command = commands.add_parser(
        "ready", help="check that workers are READY and answer the golden products as expected"
    )
    command.add_argument(
        "models", nargs="*", metavar="MODEL", help="models to check (default: all that are registered)"
    )
    command.set_defaults(command=ready)
    command = commands.add_parser("alive", help="check that TorchServe answers at all, whatever its models do")
    command.set_defaults(command=alive)
    command = commands.add_parser("token", help='print the server\'s token: curl -H "Authorization: Bearer TOKEN"')
    command.add_argument(
        "--api",
        choices=("inference", "management"),
        default="inference",
        help="the API that takes the token (default: %(default)s)",
    )
    command.add_argument(
        "--timeout",
        type=seconds,
        default=TOKEN_TIMEOUT,
        metavar="SECONDS",
        help="seconds to wait for a server that is starting (default: %(default)g)",
    )
    command.set_defaults(command=token)


def serve(session: Session) -> None:
    """Start the server, or report that it is running. In the foreground it must be a server of its own."""
    if session.options.foreground:
        options = session.options
        serve_in_foreground(session.config, timeout=options.timeout, limit=options.drain, log=echo)
    elif local_server.find_server(session.config) is not None:
        echo("The server is already running:")
        ready(session)
    else:
        local_server.start(session.config, timeout=session.options.timeout, log=echo)


def stop(session: Session) -> None:
    """Stop the server that ``serve`` started."""
    if local_server.stop(session.config):
        echo("The server is stopped.")
    else:
        echo("No server started by `serve` is running. `torchserve --stop` stops one that was started by hand.")


def ready(session: Session) -> None:
    """Check that the served models answer as they did when they were verified."""
    models = session.options.models or session.management.models()
    if not models:
        raise ClientError("no model is registered; `python -m client register intermediate.mar` registers one")
    restore_files(session.config.state, session.management, session.store, log=echo)
    for model in models:
        echo(check_ready(session.client, session.management, session.store, model=model))


def alive(session: Session) -> None:
    """Check that the front end answers anything; a probe that restarts the server must not fail on a full queue."""
    with contextlib.suppress(ServerError):
        session.client.request("GET", "/ping", timeout=ALIVE_TIMEOUT)
    echo("TorchServe answers.")


def token(session: Session) -> None:
    """Print only the token, for ``KEY=$(python -m client token)``."""
    echo(session.tokens.wait_for(session.options.api, timeout=session.options.timeout))
