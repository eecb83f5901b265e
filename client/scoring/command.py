"""Command line of the scoring of catalogues: ``python -m client score CATALOG --out FOLDER``.

Nothing is imported here that another command would wait for.
"""

import argparse
from pathlib import Path

from client.arguments import ENGINES, add_catalogue, add_columns, add_model, count, engine_of, say, source_of
from client.config import ServerConfig
from client.errors import ClientError
from training.catalog import CatalogError


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of ``score``."""
    add_catalogue(command, out="of the results")
    add_model(command, list(ENGINES))
    command.add_argument("--top-k", type=count, metavar="N", help="how many classes to list (default: the model's)")
    add_columns(command)
    server = command.add_argument_group("--engine server")
    server.add_argument("--connections", type=count, metavar="N", help="requests under way at once")
    archive = command.add_argument_group("--engine local, --engine ray")
    archive.add_argument("--archive", type=Path, metavar="FILE", help="default: that of the model in the model store")
    ray = command.add_argument_group("--engine ray")
    ray.add_argument("--actors", type=count, default=1, metavar="N", help="copies of the model (default: %(default)s)")
    ray.add_argument("--actor-cpus", type=count, metavar="N", help="cores of each (default: this machine's, shared)")
    ray.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a running cluster, such as auto; else Ray starts here"
    )


def score(options: argparse.Namespace, config: ServerConfig) -> None:
    """Score a catalogue.

    Raises:
        ClientError: it cannot be scored; the message says what to mend.
    """
    from client.scoring.run import score_catalog  # noqa: PLC0415 - what it stands on takes half a second

    try:
        score_catalog(source_of(options), options.out, engine_of(options, config), top_k=options.top_k, say=say)
    except CatalogError as error:
        raise ClientError(str(error)) from error
