"""``python -m training train``: train runs, measure their robustness, write the report."""

import argparse
from pathlib import Path
from typing import Any

from training.catalog.reading import CatalogSource
from training.evaluation.conditions import CONDITIONS
from training.evaluation.evaluate import evaluate_run
from training.evaluation.robustness import ROBUSTNESS_FILE
from training.pipeline.training_run import cross_validate, train_run
from training.reporting.metrics_tables import metrics_tables
from training.reporting.report import write_report
from training.run.option_parser import add_helps, add_options, completed
from training.run.option_table import options_of
from training.run.options import TRAIN_OPTIONS, CatalogOptions, CommandOptions, TrainOptions
from training.run.recipe import read_recipe
from training.run.record import read_run
from training.system.rank import is_main_process
from training.system.storage import write_json

USAGE = "python -m training train --data PATH [--recipe NAME] [further options]"


def add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("train", help="train the five models", usage=USAGE, add_help=False, allow_abbrev=False)
    add_helps(parser, add_options(parser, TRAIN_OPTIONS))
    parser.set_defaults(command=train, complete=complete)


def complete(typed: argparse.Namespace) -> argparse.Namespace:
    """The typed options, completed by the recipe and the defaults.

    Raises:
        OptionsError: the recipe cannot be read, or no catalogue is named.
    """
    recipe = getattr(typed, "recipe", TRAIN_OPTIONS["recipe"].default)
    return completed(typed, TRAIN_OPTIONS, recipe=read_recipe(recipe))


def train(chosen: argparse.Namespace) -> None:
    """Train the run, or a run for each fold, and report as the options say."""
    command = CommandOptions(**_fields(CommandOptions, chosen))
    source = CatalogOptions(**_fields(CatalogOptions, chosen)).source
    out = command.out or _default_out(source, command.recipe)
    options = TrainOptions(source=source, out=out, **_fields(TrainOptions, chosen))
    print(f"Training on {source.path}; progress below, results in {out}.", flush=True)
    runs = cross_validate(options, command.folds) if command.folds else [train_run(options)]
    if not is_main_process():
        return
    if command.report:
        for run in runs:
            _measure_robustness(run, source, max_rejected=options.max_rejected)
    if command.report or command.folds:
        print(f"report: {write_report(runs, out=out)}")
    else:
        record = read_run(out)
        print(f"\nThe {record.split.test:,} products of the test part:\n\n{metrics_tables(record.metrics)}\n")
        print(f"next: python -m training report {out}")


def _fields(owner: type, chosen: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(chosen, name) for name in options_of(owner)}


def _default_out(source: CatalogSource, recipe: str) -> Path:
    first, *further = (source.label_column or "label").split(",")
    target = f"{first}-and-{len(further)}-more" if further else first
    return Path("runs") / f"{Path(source.path).stem}-{target}-{Path(recipe).stem}"


def _measure_robustness(run: Path, source: CatalogSource, *, max_rejected: float) -> None:
    """Write the robustness of a run's test part into its folder, unless it is there."""
    if (run / ROBUSTNESS_FILE).is_file():
        return
    print(
        f"Measuring the test part under {len(CONDITIONS)} conditions, into {run / ROBUSTNESS_FILE}; progress below.",
        flush=True,
    )
    write_json(
        run / ROBUSTNESS_FILE, evaluate_run(run, source, max_rejected=max_rejected, part="test", robustness=True)
    )
