"""Command line of training: ``python -m training sample|fetch|train|evaluate|report --help``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from training.catalog.drawn import write_sample_catalog
from training.catalog.files import CatalogError
from training.commands import add_evaluate, add_train, train
from training.fetch.command import add_fetch, fetch
from training.models.weights.weights_file import WeightsError
from training.reporting.report import write_report
from training.run.checkpoint import RunError
from training.run.option_table import OptionsError
from training.system.device import follow_cpu_quota, keep_freed_memory, loader_fault
from training.system.interrupts import Terminated, signals_like_ctrl_c, status_of, tell
from training.system.processes import only_main_prints
from training.system.storage import FORBIDDEN, FULL, StorageError, describe, storage_errors

USER_ERRORS = (CatalogError, OptionsError, RunError, StorageError, WeightsError)
DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, as :func:`exit_status`."""
    options = _parse(arguments)
    with only_main_prints():
        return exit_status(lambda: options.command(options), resumable=options.command in (train, fetch))


def exit_status(command: Callable[[], None], *, resumable: bool) -> int:
    """Run a command and print its errors. An error that the user can correct becomes one sentence.

    Args:
        resumable: the same command goes on where it stopped; messages then say so.

    Returns:
        0 for success, 1 for an error that the user can fix, 130 after Ctrl-C, 143 after SIGTERM,
        129 after SIGHUP.
    """
    how = "; the same command goes on where it stopped" if resumable else ""
    try:
        with signals_like_ctrl_c():
            command()
    except USER_ERRORS as error:
        return _print_error(FAILED, f"error: {error}")
    except (OSError, RuntimeError) as error:
        if fault := loader_fault(error):
            return _print_error(FAILED, f"error: {fault}; give fewer --processes, or 0{how}")
        if not isinstance(error, OSError) or error.errno not in (*FULL, *FORBIDDEN):
            raise
        return _print_error(FAILED, f"error: {describe(error)}{how}")
    except KeyboardInterrupt as interrupt:
        by = f"stopped by {interrupt}" if isinstance(interrupt, Terminated) else "interrupted"
        return _print_error(status_of(interrupt), f"\n{by}{how}")
    return DONE


def _print_error(status: int, message: str) -> int:
    tell(message, sys.stderr)
    return status


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    typed = parser.parse_args(arguments)
    try:
        options: argparse.Namespace = typed.complete(typed)
    except OptionsError as error:
        parser.error(str(error))
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__, allow_abbrev=False)
    parser.set_defaults(complete=lambda typed: typed)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sample = commands.add_parser("sample", help="write the built-in catalogue as a folder", allow_abbrev=False)
    sample.add_argument("--out", type=Path, required=True, help="folder to write products.csv and images/ to")
    sample.add_argument("--per-class", type=int, default=60, help="products of each category (default: %(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="seed of the drawing (default: %(default)s)")
    sample.set_defaults(command=_sample)
    add_fetch(commands)
    add_train(commands)
    add_evaluate(commands)
    report = commands.add_parser("report", help="draw tables and figures of one run or several", allow_abbrev=False)
    report.add_argument("runs", type=Path, nargs="+", help="run folders: one, or several seeds or folds")
    report.add_argument(
        "--out",
        type=Path,
        help="folder for report.html, report.md, report.json, model-card.md, suspected-labels.csv and figures/ "
        "(default: of one run, the run's own folder; of several, `report` in the closest folder that holds them all)",
    )
    report.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="set the run beside an earlier one: what got better, by model and by class",
    )
    report.set_defaults(command=_report)
    return parser


def _sample(options: argparse.Namespace) -> None:
    with storage_errors(options.out / "products.csv"):
        path = write_sample_catalog(options.out, per_class=options.per_class, seed=options.seed)
    print(f"built-in catalogue: {path}")


def _report(options: argparse.Namespace) -> None:
    page = write_report(options.runs, out=options.out, against=options.against)
    print(f"report: {page} (the same as Markdown: {page.with_suffix('.md')})")


if __name__ == "__main__":
    keep_freed_memory()  # only in our own process, never in one that uses the library
    follow_cpu_quota()
    sys.exit(main())
