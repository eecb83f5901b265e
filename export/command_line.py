"""The options of ``python -m export``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from export.archive import WORKERS
from handlers.product_serving.engines.table import AUTO, ENGINES

DEFAULT_LIMIT = 1000
# Each archive is loaded on a CPU before it is stored, so only CPU engines can be forced.
ENGINE_CHOICES = [AUTO, *(row.name for row in ENGINES if row.device == "cpu")]
MAR, TRITON, PYTHON = "mar", "triton", "python"
# They shape an archive that is built, and say nothing of one that is there.
_OF_BUILDING = (
    "--model",
    "--version",
    "--store",
    "--engine",
    "--workers",
    "--cache-mib",
    "--cascade",
    "--sign",
    "--limit",
)


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Add the options to a parser and read them; those that do not go together end the program with status 2.

    Args:
        parser: of the program.
        words: of the command line.
    """
    _add_options(parser)
    options = parser.parse_args(words)
    if fault := _fault(options, {word.split("=")[0] for word in words}):
        parser.error(fault)
    return options


def _fault(options: argparse.Namespace, named: set[str]) -> str:
    """Which options do not go together, or ""."""
    if options.target == MAR:
        if options.out is not None:
            return "--out goes with --target triton or python; archives go to --store"
        return "--archive goes with --target triton or python" if options.archive else ""
    if options.out is None:
        return f"--target {options.target} needs --out: the folder to write"
    if options.archive and (without := sorted(named & set(_OF_BUILDING))):
        return f"{', '.join(without)}: goes with --run; an archive that is there stays as it was built"
    if options.target == PYTHON and len(options.archive or options.model or []) != 1:
        return "--target python writes one model: name it with one --model, or one --archive"
    return ""


def _add_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="run folder of `python -m training train`")
    source.add_argument(
        "--archive", type=Path, action="append", help="an archive that is there, for another target; may be repeated"
    )
    _add_target(parser)
    parser.add_argument(
        "--model", action="append", help="one model; may be repeated (default: the run's, without ablations)"
    )
    parser.add_argument("--version", default="1.0", help="version of the archives (default: %(default)s)")
    parser.add_argument(
        "--store", type=Path, default=Path("model_store"), help="folder for the archives (default: %(default)s)"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace archives of the same version from another run, and what is in the target's place",
    )
    parser.add_argument(
        "--engine", choices=ENGINE_CHOICES, default=AUTO, help="engine of the archive; auto lets each machine choose"
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=WORKERS,
        help="processes that serve each model; they share the cores (default: %(default)s)",
    )
    parser.add_argument(
        "--cache-mib",
        type=float,
        default=0,
        help="size of each process's cache of answers, in MiB (default: no cache)",
    )
    parser.add_argument(
        "--cascade",
        action="store_true",
        help="answer products whose title says enough before all towers are computed; fitted on validation products "
        "and refused if it changes more answers of test products than a fast engine may",
    )
    parser.add_argument(
        "--sign",
        type=Path,
        metavar="KEY",
        help="sign the archives with this private key (PEM, elliptic curve); a server checks it by PRODUCT_TRUSTED_KEY",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=DEFAULT_LIMIT,
        help="the most test products to verify on; 0 takes all (default: %(default)s)",
    )


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        choices=[MAR, TRITON, PYTHON],
        default=MAR,
        help="mar: TorchServe's archive; triton: also a model repository of Triton; python: also a package to import "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the target: the repository, which may hold more, or the package itself"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number
