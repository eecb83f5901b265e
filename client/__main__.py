"""Command line of a running server: ``python -m client COMMAND --help``.

Exit status: 0 done, 1 refused or not ready, 2 wrong arguments, 3 no server answers, 129 closed terminal,
130 Ctrl-C, 143 SIGTERM. ``drift``: 0 steady, 1 moved, 2 not judged.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from client.api.errors import ClientError, ServerDown, ServerTimeout
from client.commands import audit, drift, openapi, page, predict, score, server, versions
from client.commands.arguments import Parser, add_server
from client.commands.session import Session
from training.catalog import CatalogError
from training.system.interrupts import signals_like_ctrl_c, status_of, tell
from training.system.storage import StorageError, describe

EXIT_REFUSED, EXIT_NO_ANSWER = 1, 3
COMMANDS = (server, predict, score, audit, drift, page, versions, openapi)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        with signals_like_ctrl_c(), ExitStack() as stack:
            return int(options.command(Session(options, stack)) or 0)
    except (ServerDown, ServerTimeout) as error:
        message, status = f"error: {error}", EXIT_NO_ANSWER
    except (CatalogError, ClientError, StorageError) as error:
        message, status = f"error: {error}", options.refused
    except OSError as error:
        message, status = f"error: {describe(error)}", options.refused
    except KeyboardInterrupt as interrupt:
        message, status = "interrupted", status_of(interrupt)
    tell(message, sys.stderr)
    return status


def parser() -> Parser:
    """The parser of all subcommands."""
    root = Parser(prog="python -m client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root.set_defaults(refused=EXIT_REFUSED)
    add_server(root)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return root


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 cannot show every letter
    sys.exit(main())
