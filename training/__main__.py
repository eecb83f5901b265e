"""Command line of training: ``python -m training sample|train|evaluate|report --help``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training.catalog.drawn import write_sample_catalog
from training.evaluate_command import add_evaluate
from training.exit_status import exit_status
from training.reporting.report import write_report
from training.run.option_table import OptionsError
from training.system.device import keep_freed_memory
from training.system.processes import only_main_prints
from training.train_command import add_train, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, as :func:`training.exit_status.exit_status`."""
    options = _parse(arguments)
    with only_main_prints():
        return exit_status(lambda: options.command(options), resumable=options.command is train)


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
    add_train(commands)
    add_evaluate(commands)
    report = commands.add_parser("report", help="draw tables and figures of one run or several", allow_abbrev=False)
    report.add_argument("runs", type=Path, nargs="+", help="run folders: one, or several seeds or folds")
    report.add_argument(
        "--out",
        type=Path,
        help="folder for report.html, report.md, report.json, suspected-labels.csv and figures/ (default: of one run, "
        "the run's own folder; of several, `report` in the closest folder that holds them all)",
    )
    report.set_defaults(command=_report)
    return parser


def _sample(options: argparse.Namespace) -> None:
    path = write_sample_catalog(options.out, per_class=options.per_class, seed=options.seed)
    print(f"built-in catalogue: {path}")


def _report(options: argparse.Namespace) -> None:
    page = write_report(options.runs, out=options.out)
    print(f"report: {page} (the same as Markdown: {page.with_suffix('.md')})")


if __name__ == "__main__":
    keep_freed_memory()  # only in our own process, never in one that uses the library
    sys.exit(main())
