"""Options that several subcommands have: a server, a catalogue with its columns, a model with who answers.

Nothing is imported here that a command would wait for which does not need it.
"""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from client.api.inference import DEFAULT_MODEL
from client.archives.model_store import ModelStore
from client.server.config import CONFIG, ServerConfig
from training.catalog import CatalogSource

if TYPE_CHECKING:
    from client.scoring.engines import Engine

ENGINES = {
    "server": "the running server",
    "local": "the archive's model in this process",
    "ray": "Ray",
}


class Parser(argparse.ArgumentParser):
    """A parser whose options have to be written out: a shortened one is refused, never guessed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})


Subcommands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_server(command: argparse.ArgumentParser) -> None:
    """Which server it is."""
    command.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("TS_CONFIG_FILE", CONFIG)),
        help="the server's configuration: addresses, model store (default: %(default)s)",
    )
    command.add_argument("--key-file", type=Path, help="the server's tokens (default: key_file.json beside that file)")


def add_catalog(command: argparse.ArgumentParser, *, out: str, optional: bool = False) -> None:
    """The catalogue, and where what comes of it goes.

    Args:
        command: gets the arguments.
        out: what the folder will hold.
        optional: the command can do without the name of a catalogue.
    """
    layout = "CSV or Parquet, a folder with one, or a zip with a CSV"
    command.add_argument("catalog", metavar="CATALOG", nargs="?" if optional else None, help=layout)
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help=out)
    command.add_argument("--replace", action="store_true", help="start anew where FOLDER holds other results already")


def add_model(command: argparse.ArgumentParser, engines: Sequence[str]) -> None:
    """Who answers.

    Args:
        command: gets the options.
        engines: of :data:`ENGINES`; the first is the default.
    """
    *first, last = (ENGINES[name] for name in engines)
    who = f"who answers: {', '.join(first)} or {last} (default: %(default)s)"
    command.add_argument("--engine", choices=engines, default=engines[0], help=who)
    command.add_argument("--model", default=DEFAULT_MODEL, help="name (default: %(default)s)")
    command.add_argument("--version", help="of the model; its default version otherwise")


def add_columns(command: argparse.ArgumentParser) -> None:
    """What the columns of the catalogue are called."""
    columns = command.add_argument_group("columns")
    columns.add_argument("--image-column", default="image", metavar="NAME", help="path of the picture")
    columns.add_argument("--text-column", default="text", metavar="NAME", help="the title")
    columns.add_argument("--id-column", metavar="NAME", help="default: id where there is one, else the line")


def source_of(options: argparse.Namespace, *, labels: str | None = None) -> CatalogSource:
    """The catalogue that the options name.

    Args:
        options: of :func:`add_catalog` and :func:`add_columns`.
        labels: the column of its labels, where they are read.
    """
    return CatalogSource(
        path=str(options.catalog),
        image_column=options.image_column,
        text_column=options.text_column,
        label_column=labels,
        id_column=options.id_column,
    )


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
    """The archive of the version, or of the version that a start of the server loads."""
    store = ModelStore(config.model_store)
    if options.version is not None:
        return store.version(options.model, options.version).path
    return store.archive(f"{options.model}.mar").path


def count(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """A time, 0 or more.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    return _number(text, largest=math.inf, what="a number of seconds, such as 30")


def share(text: str) -> float:
    """A number of 0..1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    return _number(text, largest=1, what="a share of 0 to 1, such as 0.95")


def _number(text: str, *, largest: float, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= largest:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number


def say(text: str) -> None:
    """A line for the person who waits, at once."""
    print(text, flush=True)
