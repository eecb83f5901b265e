"""``python -m training fetch``: the command's options."""

import argparse
from collections.abc import Callable
from pathlib import Path

from training.fetch.catalogue import FIRST, PICTURES
from training.fetch.download import Limits
from training.fetch.run import GIB, FetchOptions, fetch_catalogue

DEFAULTS, LIMITS = FetchOptions(catalogue="", out=Path()), Limits()


def add_fetch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``fetch``."""
    parser = commands.add_parser(
        "fetch",
        help="download the pictures behind a catalogue's web addresses",
        description="Download the pictures behind the web addresses in a catalogue's column of pictures, and write "
        "a catalogue with the files in their place. The same command goes on where it stopped, and tries "
        "again what failed.",
        allow_abbrev=False,
    )
    parser.add_argument("catalogue", metavar="CATALOGUE", help="a CSV or Parquet, a folder with one, or a zip")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder for the new catalogue")
    parser.add_argument(
        "--image-column", default=DEFAULTS.image_column, metavar="NAME", help="column of the addresses (%(default)s)"
    )
    parser.add_argument(
        "--pictures",
        choices=PICTURES,
        default=FIRST,
        help="of a cell with several: the first, or all (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="also fetch from private networks and this machine; only for a catalogue that you trust",
    )
    whole, share = _number(int, 1), _number(float, 0.001)
    parser.add_argument("--workers", type=whole, default=DEFAULTS.workers, help="pictures at once (%(default)s)")
    parser.add_argument("--per-host", type=whole, default=DEFAULTS.per_host, help="of them from one host (%(default)s)")
    parser.add_argument("--attempts", type=whole, default=DEFAULTS.attempts, help="for each picture (%(default)s)")
    parser.add_argument("--timeout", type=share, default=LIMITS.seconds, help="seconds for one picture (%(default)s)")
    parser.add_argument(
        "--max-bytes",
        type=whole,
        default=LIMITS.max_bytes,
        help="of one picture's file (%(default)s, the server's limit)",
    )
    parser.add_argument(
        "--max-pixels", type=whole, default=LIMITS.max_pixels, help="of one picture (%(default)s, the server's limit)"
    )
    parser.add_argument(
        "--max-total-gib", type=share, default=DEFAULTS.max_total / GIB, help="of all pictures (%(default)s)"
    )
    parser.set_defaults(command=fetch)


def fetch(options: argparse.Namespace) -> None:
    """Fetch the pictures as the options say."""
    limits = Limits(seconds=options.timeout, max_bytes=options.max_bytes, max_pixels=options.max_pixels)
    fetch_catalogue(
        FetchOptions(
            catalogue=options.catalogue,
            out=options.out,
            image_column=options.image_column,
            pictures=options.pictures,
            allow_private=options.allow_private,
            workers=options.workers,
            per_host=options.per_host,
            attempts=options.attempts,
            limits=limits,
            max_total=int(options.max_total_gib * GIB),
        ),
        log=lambda line: print(line, flush=True),
    )


def _number(kind: type[int] | type[float], least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = kind(0)
        if not least <= number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is no number of {least} or more")
        return number

    return parse
