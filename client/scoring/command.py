"""Command line of the scoring of catalogues: ``python -m client score CATALOG --out FOLDER``.

Nothing is imported here that another command would wait for.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from client.config import ServerConfig
from client.errors import ClientError
from client.inference import DEFAULT_MODEL
from client.store import ModelStore
from training.catalog_files import CatalogError

if TYPE_CHECKING:
    from client.scoring.engines import Engine

ENGINES = ("server", "local", "ray")


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of ``score``."""
    command.add_argument("catalog", metavar="CATALOG", help="CSV or Parquet, a folder with one, or a zip with a CSV")
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the results")
    command.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="who answers: the running server, the archive's model in this process, or Ray (default: %(default)s)",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, help="name (default: %(default)s)")
    command.add_argument("--version", help="of the model; the one in charge otherwise")
    command.add_argument("--top-k", type=_count, metavar="N", help="how many classes to list (default: the model's)")
    columns = command.add_argument_group("columns")
    columns.add_argument("--image-column", default="image", metavar="NAME", help="path of the picture")
    columns.add_argument("--text-column", default="text", metavar="NAME", help="the title")
    columns.add_argument("--id-column", metavar="NAME", help="default: id where there is one, else the line")
    server = command.add_argument_group("--engine server")
    server.add_argument("--connections", type=_count, metavar="N", help="requests under way at once")
    archive = command.add_argument_group("--engine local, --engine ray")
    archive.add_argument("--archive", type=Path, metavar="FILE", help="default: that of the model in the model store")
    ray = command.add_argument_group("--engine ray")
    ray.add_argument("--actors", type=_count, default=1, metavar="N", help="copies of the model (default: %(default)s)")
    ray.add_argument("--actor-cpus", type=_count, metavar="N", help="cores of each (default: this machine's, shared)")
    ray.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a running cluster, such as auto; else Ray starts here"
    )


def score(options: argparse.Namespace, config: ServerConfig) -> None:
    """Score a catalogue.

    Raises:
        ClientError: it cannot be scored; the message says what to mend.
    """
    from client.scoring.run import score_catalog  # noqa: PLC0415 - what it stands on takes half a second
    from training.catalog_rows import CatalogSource  # noqa: PLC0415

    source = CatalogSource(
        path=str(options.catalog),
        image_column=options.image_column,
        text_column=options.text_column,
        id_column=options.id_column,
    )
    try:
        score_catalog(source, options.out, engine_of(options, config), top_k=options.top_k, say=_say)
    except CatalogError as error:
        raise ClientError(str(error)) from error


def engine_of(options: argparse.Namespace, config: ServerConfig) -> "Engine":
    """The engine that the options ask for.

    Raises:
        ClientError: there is no such model, or it does not answer.
    """
    if options.engine == "server":
        from client.scoring.remote import server_engine  # noqa: PLC0415

        return server_engine(
            config,
            config.tokens(options.key_file),
            model=options.model,
            version=options.version,
            top_k=options.top_k,
            connections=options.connections,
        )
    archive = options.archive or _archive(options, config)
    if options.engine == "local":
        from client.scoring.local import LocalEngine  # noqa: PLC0415

        return LocalEngine(archive, top_k=options.top_k)
    from client.scoring.ray_data import RayEngine  # noqa: PLC0415

    return RayEngine(
        archive, top_k=options.top_k, actors=options.actors, cpus=options.actor_cpus, address=options.ray_address
    )


def _archive(options: argparse.Namespace, config: ServerConfig) -> Path:
    """The archive of the model store that is in charge, or that of the version."""
    store = ModelStore(config.model_store)
    if options.version is not None:
        return store.version(options.model, options.version).path
    return store.archive(f"{options.model}.mar").path


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _say(text: str) -> None:
    print(text, flush=True)
