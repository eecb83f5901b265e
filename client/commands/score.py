"""``score``: classify a whole catalogue.

Nothing is imported here that another command would wait for.
"""

from pathlib import Path

from client.commands.arguments import (
    ENGINES,
    Subcommands,
    add_catalog,
    add_columns,
    add_model,
    count,
    engine_of,
    say,
    source_of,
)
from client.commands.session import Session


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("score", help="score a whole catalogue: predictions, a review queue, errors")
    add_catalog(command, out="of the results")
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
    command.set_defaults(command=score)


def score(session: Session) -> None:
    """Score a catalogue."""
    from client.scoring.run import score_catalog  # noqa: PLC0415 - pyarrow takes half a second

    options = session.options
    engine = engine_of(options, session.config)
    score_catalog(source_of(options), options.out, engine, top_k=options.top_k, say=say, replace=options.replace)
