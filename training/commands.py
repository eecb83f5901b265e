"""``python -m training train``: train runs, measure robustness, write the report; ``evaluate``: measure a run."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from training.catalog.reading import CatalogSource
from training.data.splits import PARTS
from training.evaluation.conditions import CONDITIONS
from training.evaluation.evaluate import evaluate_run
from training.pipeline.training_run import cross_validate, train_run
from training.reporting.report import metrics_tables, write_report
from training.run.checkpoint import RunError
from training.run.option_parser import add_helps, add_options, completed, read_recipe
from training.run.option_table import options_of
from training.run.options import CATALOG_OPTIONS, TRAIN_OPTIONS, CatalogOptions, CommandOptions, TrainOptions
from training.run.record import ROBUSTNESS_FILE, read_run
from training.system.rank import is_main_process
from training.system.storage import write_json

TRAIN_USAGE = "python -m training train --data PATH [--recipe NAME] [further options]"
EVALUATE_USAGE = "python -m training evaluate RUN --data PATH [further options]"


def add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``train``."""
    parser = commands.add_parser(
        "train", help="train the six models", usage=TRAIN_USAGE, add_help=False, allow_abbrev=False
    )
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
    print(f"Training on {source.path}; progress below.", flush=True)
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
        print(f"next: python -m training report {shlex.quote(str(out))}")


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


def add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``evaluate``."""
    parser = commands.add_parser(
        "evaluate", help="measure a run on any labelled catalogue", usage=EVALUATE_USAGE, allow_abbrev=False
    )
    parser.add_argument("run", type=Path, help="run folder")
    add_options(parser, CATALOG_OPTIONS)
    parser.add_argument("--part", choices=PARTS, help="only the products of this part of the run's own split, by id")
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also measure with titles and pictures missing and damaged; with --part test the result is also "
        f"kept in the run folder as {ROBUSTNESS_FILE}, for the report",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file for the metrics beside the table")
    parser.set_defaults(command=evaluate, complete=lambda typed: completed(typed, CATALOG_OPTIONS))


def evaluate(chosen: argparse.Namespace) -> None:
    """Measure the run, print the tables, and write the metrics to ``--out``."""
    if chosen.out is not None and chosen.out.is_dir():
        raise RunError(f"--out {chosen.out} is a folder: name a file, such as {chosen.out / 'metrics.json'}")
    source = CatalogOptions(**_fields(CatalogOptions, chosen)).source
    what = f"the {chosen.part} part of {source.path}" if chosen.part else source.path
    how = f" under {len(CONDITIONS)} conditions" if chosen.robustness else ""
    print(f"Measuring {chosen.run} on {what}{how}; progress below.", file=sys.stderr, flush=True)
    result = evaluate_run(
        chosen.run,
        source,
        max_rejected=chosen.max_rejected,
        part=chosen.part,
        robustness=chosen.robustness,
        seed=chosen.seed,
    )
    for hint in result["hints"]:
        print(f"note: {hint}", file=sys.stderr)
    print(f"\n{metrics_tables({model: numbers['attributes'] for model, numbers in result['models'].items()})}\n")
    if chosen.out is not None:
        write_json(chosen.out, result)
        print(f"metrics: {chosen.out}")
    if chosen.robustness and chosen.part == "test":
        write_json(chosen.run / ROBUSTNESS_FILE, result)
        report = f"python -m training report {shlex.quote(str(chosen.run))}"
        print(f"kept as {chosen.run / ROBUSTNESS_FILE}; next: {report}", file=sys.stderr)
