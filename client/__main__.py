"""Command line of a running server: ``python -m client COMMAND --help``.

Exit status: 0 done, 1 refused or not ready, 2 wrong arguments, 3 no server answers, 130 interrupted.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from client.api.errors import ClientError, ServerDown, ServerTimeout
from client.commands import audit, page, predict, score, server, versions
from client.commands.arguments import Parser, add_server
from client.commands.session import Session
from training.catalog import CatalogError
from training.system.storage import StorageError

EXIT_REFUSED, EXIT_NO_ANSWER, EXIT_INTERRUPTED = 1, 3, 130
COMMANDS = (server, predict, score, audit, page, versions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            options.command(Session(options, stack))
        return 0
    except (ServerDown, ServerTimeout) as error:
        message, status = f"error: {error}", EXIT_NO_ANSWER
    except (CatalogError, ClientError, StorageError) as error:
        message, status = f"error: {error}", EXIT_REFUSED
    except KeyboardInterrupt:
        message, status = "interrupted", EXIT_INTERRUPTED
    except BrokenPipeError:  # a reader such as `head` has closed the pipe; flushing at exit would fail too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    print(message, file=sys.stderr)
    return status


def parser() -> Parser:
    """The parser of all subcommands."""
    root = Parser(prog="python -m client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server(root)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return root


def _end(*_: object) -> None:
    """Treat SIGTERM like Ctrl-C, so that a switch under way is undone."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
