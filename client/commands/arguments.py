"""Options that several subcommands share: the server, the catalogue and its columns, the model and its engine.

Slow modules are imported only in the functions that need them.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from client.api.errors import ClientError
from client.api.inference import DEFAULT_MODEL
from client.archives.model_store import ModelStore
from client.server.config import CONFIG, ServerConfig
from training.catalog import PRESETS, CatalogSource
from training.system.interrupts import tell

if TYPE_CHECKING:
    from client.scoring.engines import ScoringEngine

ENGINE_HELP = {
    "server": "the running server",
    "local": "the archive's model in this process",
    "ray": "Ray",
}


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses abbreviated options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})


Subcommands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_server(command: argparse.ArgumentParser) -> None:
    """Add the options that name the server."""
    command.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("TS_CONFIG_FILE", CONFIG)),
        help="configuration of the server, with its addresses and model store (default: %(default)s)",
    )
    command.add_argument(
        "--key-file", type=Path, help="file with the server's tokens (default: key_file.json beside it)"
    )


def add_catalog(command: argparse.ArgumentParser, *, out: str, optional: bool = False) -> None:
    """Add the catalogue and the output folder.

    Args:
        command: parser that gets the arguments.
        out: help text of the output folder.
        optional: make the catalogue optional.
    """
    layout = "a table (CSV, TSV, Parquet, XLSX, JSON lines, XML), or a folder or zip with one"
    command.add_argument("catalog", metavar="CATALOG", nargs="?" if optional else None, help=layout)
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help=out)
    command.add_argument("--replace", action="store_true", help="delete earlier results in FOLDER and start anew")


def add_model(command: argparse.ArgumentParser, engines: Sequence[str]) -> None:
    """Add the model and the engine that runs it.

    Args:
        command: parser that gets the options.
        engines: names from :data:`ENGINE_HELP`; the first is the default.
    """
    described = "; ".join(f"{name}: {ENGINE_HELP[name]}" for name in engines)
    command.add_argument(
        "--engine",
        choices=engines,
        default=engines[0],
        help=f"where the model runs. {described} (default: %(default)s)",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, help="name of the model (default: %(default)s)")
    command.add_argument("--version", help="version of the model (default: its default version)")


def add_columns(command: argparse.ArgumentParser, *, results: Sequence[str] = ()) -> None:
    """Add the names of the catalogue's columns, and what its table is like.

    Args:
        command: parser that gets the options.
        results: formats of the results that can be asked for.
    """
    columns = command.add_argument_group("columns")
    columns.add_argument(
        "--image-column", default="image", metavar="NAME", help='pictures; "" goes on without (default: %(default)s)'
    )
    columns.add_argument(
        "--text-column", default="text", metavar="NAME", help='titles; "" goes on without (default: %(default)s)'
    )
    columns.add_argument(
        "--id-column", metavar="NAME", help='ids (default: id if the catalogue has it, else the line; "" is the line)'
    )
    columns.add_argument(
        "--format",
        action="append",
        default=[],
        choices=(*PRESETS, *results),
        help="export of a shop system, whose columns are taken"
        + (f"; or a format of the results beside CSV and Parquet: {', '.join(results)}" if results else ""),
    )
    columns.add_argument(
        "--encoding", metavar="NAME", help="encoding of the table (default: found where it is certain)"
    )
    columns.add_argument(
        "--header", metavar="NAMES", help="names of the columns, with commas, if the table has no header"
    )


def source_of(options: argparse.Namespace, *, labels: str | None = None) -> CatalogSource:
    """The catalogue that the options name.

    Args:
        options: parsed options of :func:`add_catalog` and :func:`add_columns`.
        labels: column of the labels; None reads none.
    """
    return CatalogSource(
        path=str(options.catalog),
        image_column=options.image_column,
        text_column=options.text_column,
        label_column=labels,
        id_column=options.id_column,
        format=next((each for each in reversed(options.format) if each in PRESETS), None),
        encoding=options.encoding,
        header=options.header,
    )


def engine_of(options: argparse.Namespace, config: ServerConfig) -> "ScoringEngine":
    """The engine that the options ask for.

    Raises:
        ClientError: the model does not exist or does not answer.
    """
    pictures = getattr(options, "pictures", "first")
    if options.engine == "server":
        if pictures != "first":
            raise ClientError(
                f"--pictures {pictures} needs the probabilities of all classes, and a server answers the best ones: "
                "add --engine local, or --engine ray"
            )
        from client.scoring.remote import server_engine  # noqa: PLC0415

        return server_engine(
            config,
            config.tokens(options.key_file),
            model=options.model,
            version=options.version,
            top_k=options.top_k,
            connections=options.connections,
        )
    archive = options.archive
    if archive is None:
        store, model = ModelStore(config.model_store), options.model
        found = store.archive(f"{model}.mar") if options.version is None else store.version(model, options.version)
        archive = found.path
    if options.engine == "local":
        from client.scoring.local import LocalEngine  # noqa: PLC0415

        return LocalEngine(archive, top_k=options.top_k, pictures=pictures)
    from client.scoring.ray_data import RayEngine  # noqa: PLC0415

    return RayEngine(
        archive,
        top_k=options.top_k,
        actors=options.actors,
        cpus=options.actor_cpus,
        address=options.ray_address,
        pictures=pictures,
    )


def count(text: str) -> int:
    """Parse an integer, 1 or more.

    Raises:
        argparse.ArgumentTypeError: the text is anything else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _number(what: str, *, largest: float) -> Callable[[str], float]:
    """A parser of numbers from 0 to ``largest``; it raises :class:`argparse.ArgumentTypeError` for any other text."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number <= largest:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return number

    return parse


seconds = _number("a number of seconds, such as 30", largest=math.inf)
share = _number("a number from 0 to 1, such as 0.95", largest=1)


def echo(text: str) -> None:
    """Print a line and flush it; a reader that has gone, such as `head`, stops nothing."""
    tell(text, sys.stdout)
