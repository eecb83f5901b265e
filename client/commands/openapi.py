"""``openapi``: the HTTP API for tools that generate clients and tests."""

from client.commands.arguments import Subcommands, echo
from client.commands.session import Session


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("openapi", help="print the inference API in OpenAPI 3.1 (YAML)")
    command.set_defaults(command=openapi)


def openapi(_: Session) -> None:
    """Print the document."""
    from client.server.openapi import openapi_yaml  # noqa: PLC0415 - it reads the handler, which takes time

    echo(openapi_yaml().rstrip())
