"""Command line of training: ``python -m training sample|train|evaluate|report --help``."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.catalog.drawn import write_sample_catalog
from training.catalog.reading import CatalogSource
from training.data.splits import PARTS
from training.evaluation.conditions import CONDITIONS
from training.evaluation.evaluate import evaluate_run
from training.evaluation.robustness import FILE
from training.exit_status import exit_status
from training.models import HEADS, MODELS
from training.models.encoders import IMAGE_ENCODERS
from training.pipeline.order import cross_validate, train_run
from training.reporting.report import write_report
from training.run.checkpoint import RunError
from training.run.options import ATTRIBUTE_WEIGHT, TrainOptions
from training.run.recipes import RECIPES
from training.scores.metrics import PRECISION_TARGET
from training.system.device import PRECISIONS, keep_freed_memory, loader_processes
from training.system.processes import one_voice
from training.system.rank import is_main_process
from training.system.storage import write_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, as :func:`training.exit_status.exit_status`."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    with one_voice():
        return exit_status(lambda: options.command(options), goes_on=options.command is _train)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--recipe", default="quick")
    chosen = recipe.parse_known_args(arguments)[0].recipe
    return _parser(RECIPES.get(chosen, {})).parse_args(arguments)


def _parser(defaults: dict[str, Any]) -> argparse.ArgumentParser:
    """The parser; ``defaults`` are those of the chosen recipe."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _sample_parser(commands.add_parser("sample", help="write the built-in catalogue as a folder"))
    train = commands.add_parser(
        "train", help="train the five models", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    _train_parser(train)
    train.set_defaults(**defaults)
    _evaluate_parser(commands.add_parser("evaluate", help="measure a run on any labelled catalogue"))
    _report_parser(commands.add_parser("report", help="draw tables and figures of one run or several"))
    return parser


def _sample_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder to write products.csv and images/ to")
    parser.add_argument("--per-class", type=int, default=60, help="products of each category (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(command=_sample)


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("catalogue")
    source.add_argument(
        "--data", required=True, help="a CSV, a folder with one, or the Kaggle fashion data set as folder or .zip"
    )
    source.add_argument("--image-column", default="image", help="column of the picture's path, relative to the CSV")
    source.add_argument("--text-column", default="text", help="column of the title")
    source.add_argument(
        "--target",
        "--label-column",
        dest="label_column",
        help="column of the label (label; Kaggle: articleType); several, "
        "with commas between them, are told at once, the first one above all",
    )
    source.add_argument("--id-column", help="column of the product's id")
    source.add_argument("--max-rejected", type=float, default=0.05, help="share of bad rows above which to stop")


def _source(options: argparse.Namespace) -> CatalogSource:
    return CatalogSource(
        path=options.data,
        image_column=options.image_column,
        text_column=options.text_column,
        label_column=options.label_column,
        id_column=options.id_column,
    )


def _train_parser(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument("--recipe", choices=RECIPES, default="quick", help="a set of the choices below")
    parser.add_argument("--out", type=Path, help="run folder, by default below runs/; an interrupted run in it goes on")
    parser.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="end with the robustness on the test part and the report",
    )
    parser.add_argument("--folds", type=int, default=0, help="k-fold cross-validation: a run a fold; 0 is one split")
    parser.add_argument(
        "--corrections", type=Path, help="CSV of corrected labels: id, label, column; from an audit's sheet"
    )
    sample = parser.add_argument_group("sampling and split")
    sample.add_argument("--classes", nargs="+", default=[], help="keep these labels only")
    sample.add_argument("--per-class", type=int, help="draw that many products of each class")
    sample.add_argument("--min-class", type=int, help="leave out classes with fewer products")
    sample.add_argument("--split", choices=("stratified", "grouped"), default="stratified", help="grouped: no leaks")
    sample.add_argument("--train-share", type=float, default=1.0, help="of the training part to use: a learning curve")
    sample.add_argument("--seed", type=int, default=0, help="of everything random")
    _add_model_options(parser.add_argument_group("models"))
    _add_tuning(parser.add_argument_group("tuning of the encoders"))
    _add_fusion(parser.add_argument_group("heads and fusion"))
    parser.set_defaults(command=_train)


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--image-encoder", choices=sorted(IMAGE_ENCODERS), default="resnet18", help="picture tower")
    group.add_argument("--image-weights", default="imagenet", help="imagenet, none (random) or a state dict file")
    group.add_argument("--text-encoder", default="bert-base-uncased", help="minilm, a folder or a hub name")
    group.add_argument("--image-size", type=int, default=224, help="side of the picture, in pixels")
    group.add_argument("--image-fit", choices=("pad", "squash"), default="pad", help="how a picture becomes square")
    group.add_argument("--max-tokens", type=int, default=32, help="longest title")


def _add_tuning(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--image-epochs", type=int, default=2, help="tuning of the picture tower; 0 freezes it")
    group.add_argument("--image-sizes", type=int, nargs="+", default=(), help="side of the picture in each epoch")
    group.add_argument(
        "--batch-statistics", action="store_true", help="tune the picture tower by each batch's own mean and variance"
    )
    group.add_argument("--freeze-stem", action="store_true", help="leave the picture tower's lower layers as they are")
    group.add_argument("--image-rate", type=float, default=1e-4, help="peak learning rate of the picture tower")
    group.add_argument("--text-epochs", type=int, default=2, help="tuning of the title tower; 0 freezes it")
    group.add_argument("--text-rate", type=float, default=3e-5, help="peak learning rate of the title tower")
    group.add_argument("--thin-titles", type=float, default=0.0, help="share of training titles that lose words")
    group.add_argument("--batch-size", type=int, default=32, help="products in a step of tuning")
    group.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the forward pass")
    group.add_argument("--processes", type=int, default=loader_processes(), help="extra processes that decode pictures")


def _add_fusion(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--models", nargs="+", choices=HEADS, default=tuple(MODELS), help="to train; fusions bring image and text"
    )
    group.add_argument("--cross-fit", type=int, default=0, help="parts whose features come from encoders of the others")
    group.add_argument(
        "--cross-fit-sizes", type=int, nargs="+", default=(), help="side of the picture in each epoch of those encoders"
    )
    group.add_argument("--head-epochs", type=int, default=30, help="each single model's head on features, at most")
    group.add_argument("--fusion-epochs", type=int, default=10, help="each fusion's head on features")
    group.add_argument("--head-rate", type=float, default=1e-3, help="peak learning rate of single heads")
    group.add_argument("--fusion-rate", type=float, default=1e-3, help="peak learning rate of the fusions' heads")
    group.add_argument("--joint-epochs", type=int, default=0, help="early and intermediate fusion end to end")
    group.add_argument("--drop-image", type=float, default=0.15, help="chance of hiding the picture in training")
    group.add_argument("--drop-text", type=float, default=0.25, help="chance of hiding the title in training")
    group.add_argument(
        "--review-precision",
        type=float,
        default=PRECISION_TARGET,
        help="precision of the answers that need no review, on validation (default: %(default)s)",
    )
    group.add_argument(
        "--attribute-weights",
        type=_attribute_weight,
        nargs="+",
        default=(),
        metavar="NAME=WEIGHT",
        help=f"of further attributes in the loss, where the target has 1; {ATTRIBUTE_WEIGHT} if not named",
    )
    group.add_argument("--label-noise", type=float, default=0.0, help="share of training labels made wrong on purpose")


def _evaluate_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    _add_source(parser)
    parser.add_argument("--part", choices=PARTS, help="only the products of this part of the run's own split, by id")
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also measure with titles and pictures missing and damaged; with --part test the result is left in the "
        f"run folder as {FILE} as well, for the report",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file for the metrics (default: print them)")
    parser.set_defaults(command=_evaluate)


def _report_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", help="run folders: one, or several seeds or folds")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for report.html, report.md, report.json, suspected-labels.csv and figures/ (default: of one run, "
        "the run's own folder; of several, `report` in the closest folder that holds them all)",
    )
    parser.set_defaults(command=_report)


def _sample(options: argparse.Namespace) -> None:
    path = write_sample_catalog(options.out, per_class=options.per_class, seed=options.seed)
    print(f"built-in catalogue: {path}")


def _train(options: argparse.Namespace) -> None:
    out = (
        options.out or Path("runs") / f"{Path(options.data).stem}-{_target_name(options.label_column)}-{options.recipe}"
    )
    own = {name: value for name, value in vars(options).items() if name in TrainOptions.__dataclass_fields__}
    several = ("classes", "models", "image_sizes", "cross_fit_sizes", "attribute_weights")
    own |= {name: tuple(own[name]) for name in several}
    train_options = TrainOptions(source=_source(options), **{**own, "out": out})
    print(f"Training on {options.data}; progress below, results in {out}.", flush=True)
    runs = cross_validate(train_options, options.folds) if options.folds else [train_run(train_options)]
    if not is_main_process():
        return
    if options.report:
        for run in runs:
            _measure_robustness(run, train_options.source, max_rejected=options.max_rejected)
    if options.report or options.folds:
        print(f"report: {write_report(runs, out=out)}")
    else:
        print(f"next: python -m training report {out}")


def _target_name(columns: str | None) -> str:
    first, *further = (columns or "label").split(",")
    return f"{first}-and-{len(further)}-more" if further else first


def _attribute_weight(text: str) -> tuple[str, float]:
    name, _, weight = text.rpartition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=WEIGHT, got {text!r}") from None


def _measure_robustness(run: Path, source: CatalogSource, *, max_rejected: float) -> None:
    """Leave the robustness of a run's test part in its folder, unless it is there."""
    if (run / FILE).is_file():
        return
    print(f"Measuring the test part under {len(CONDITIONS)} conditions, into {run / FILE}; progress below.", flush=True)
    write_json(run / FILE, evaluate_run(run, source, max_rejected=max_rejected, part="test", robustness=True))


def _evaluate(options: argparse.Namespace) -> None:
    if options.out is not None and options.out.is_dir():
        raise RunError(f"--out {options.out} is a folder: name a file, such as {options.out / 'metrics.json'}")
    what = f"the {options.part} part of {options.data}" if options.part else options.data
    how = f" under {len(CONDITIONS)} conditions" if options.robustness else ""
    print(f"Measuring {options.run} on {what}{how}; progress below.", file=sys.stderr, flush=True)
    result = evaluate_run(
        options.run,
        _source(options),
        max_rejected=options.max_rejected,
        part=options.part,
        robustness=options.robustness,
        seed=options.seed,
    )
    for hint in result["hints"]:
        print(f"note: {hint}", file=sys.stderr)
    if options.out is None:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        write_json(options.out, result)
        print(f"metrics: {options.out}")
    if options.robustness and options.part == "test":
        write_json(options.run / FILE, result)
        print(f"kept as {options.run / FILE}; next: python -m training report {options.run}", file=sys.stderr)


def _report(options: argparse.Namespace) -> None:
    page = write_report(options.runs, out=options.out)
    print(f"report: {page} (the same as Markdown: {page.with_suffix('.md')})")


if __name__ == "__main__":
    keep_freed_memory()  # of this process, which is ours; never of one that calls the library
    sys.exit(main())
