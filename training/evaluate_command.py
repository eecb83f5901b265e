"""``python -m training evaluate``: measure a run on a labelled catalogue."""

import argparse
import sys
from pathlib import Path

from training.data.splits import PARTS
from training.evaluation.conditions import CONDITIONS
from training.evaluation.evaluate import evaluate_run
from training.evaluation.robustness import ROBUSTNESS_FILE
from training.reporting.metrics_tables import metrics_tables
from training.run.checkpoint import RunError
from training.run.option_parser import add_options, completed
from training.run.options import CATALOG_OPTIONS, CatalogOptions
from training.system.storage import write_json

USAGE = "python -m training evaluate RUN --data PATH [further options]"


def add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate", help="measure a run on any labelled catalogue", usage=USAGE, allow_abbrev=False
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
    source = CatalogOptions(**{name: getattr(chosen, name) for name in CatalogOptions.__dataclass_fields__}).source
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
        print(f"kept as {chosen.run / ROBUSTNESS_FILE}; next: python -m training report {chosen.run}", file=sys.stderr)
