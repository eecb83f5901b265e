"""``score``: classify a whole catalogue.

Slow modules are imported only in the functions that need them.
"""

import argparse
from pathlib import Path

from client.commands.arguments import (
    ENGINE_HELP,
    Subcommands,
    add_catalog,
    add_columns,
    add_model,
    count,
    echo,
    engine_of,
    source_of,
)
from client.commands.session import Session
from client.scoring.several_pictures import FIRST, PICTURES


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("score", help="classify a whole catalogue: predictions, a review queue, errors")
    add_catalog(command, out="output folder for the results")
    add_model(command, list(ENGINE_HELP))
    command.add_argument("--top-k", type=count, metavar="N", help="number of classes to list (default: the model's)")
    command.add_argument(
        "--shrink",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="shrink pictures that are larger than a request may be (default: yes)",
    )
    add_columns(command, results=("xlsx",))
    command.add_argument(
        "--pictures",
        choices=PICTURES,
        default=FIRST,
        help="products with several pictures are answered by the first, or by the mean of the probabilities over all "
        "(with --engine local or ray) (default: %(default)s)",
    )
    server = command.add_argument_group("--engine server")
    server.add_argument(
        "--connections", type=count, metavar="N", help="concurrent requests (default: 32, or half the queue)"
    )
    archive = command.add_argument_group("--engine local, --engine ray")
    archive.add_argument(
        "--archive", type=Path, metavar="FILE", help="archive of the model (default: from the model store)"
    )
    ray = command.add_argument_group("--engine ray")
    ray.add_argument("--actors", type=count, default=1, metavar="N", help="copies of the model (default: %(default)s)")
    ray.add_argument("--actor-cpus", type=count, metavar="N", help="cores per copy (default: all cores / copies)")
    ray.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a Ray cluster, such as auto (default: start Ray here)"
    )
    command.set_defaults(command=score)


def score(session: Session) -> None:
    """Classify a catalogue."""
    from client.scoring.outputs import refuse_unanswered  # noqa: PLC0415
    from client.scoring.run import score_catalog  # noqa: PLC0415 - pyarrow takes half a second

    options = session.options
    engine = engine_of(options, session.config)
    summary = score_catalog(
        source_of(options),
        options.out,
        engine,
        top_k=options.top_k,
        log=echo,
        replace=options.replace,
        shrink=options.shrink,
        pictures=options.pictures,
    )
    if "xlsx" in options.format:
        from client.scoring.outputs import WORKBOOKS  # noqa: PLC0415
        from client.scoring.workbooks import write_workbooks  # noqa: PLC0415

        write_workbooks(options.out, log=echo)
        echo(f"for spreadsheets: {', '.join(name for name in WORKBOOKS if (options.out / name).is_file())}")
    refuse_unanswered(options.out, summary)
