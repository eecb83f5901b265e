"""Command line of the export: ``python -m export --run runs/demo --store model_store``.

Traces each model to TorchScript and ONNX, proves on real products that both answer as the trained model does, and
archives what passed. Exit status: 0 all archived, 1 an error or a disagreement (nothing archived for that model).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.archive import WORKERS, ArchiveError, refuse_other_runs
from export.build import Built, build_archive, read_test_products
from export.fast import passes
from export.verify import Parity, VerificationError
from handlers.product_serving.engines.table import AUTO, ENGINES
from training.catalog.reading import CatalogError
from training.models import MODELS
from training.run.checkpoint import RunError
from training.run.record import read_run

DEFAULT_LIMIT = 1000
FORCED = [AUTO, *(row.name for row in ENGINES if row.device == "cpu")]  # an archive is loaded on a CPU first
CALIBRATED = 200  # training products that int8 finds its scales with


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the archives that the arguments ask for; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        record = read_run(options.run)
        models = options.model or [name for name in record.models if name in MODELS]
        if not options.replace:
            refuse_other_runs(options.store, models, version=options.version, run=options.run, created=record.created)
        print(
            f"Archiving {', '.join(models)} of {options.run} into {options.store}, version {options.version}.",
            flush=True,
        )
        test = read_test_products(options.run, limit=options.limit or None)
        calibrates = options.engine in (AUTO, "int8")
        train = read_test_products(options.run, limit=CALIBRATED, part="train") if calibrates else None
        for name in models:
            built = build_archive(
                options.run,
                name,
                version=options.version,
                store=options.store,
                test=test,
                train=train,
                engine=options.engine,
                workers=options.workers,
                cache_mib=options.cache_mib,
            )
            print(_describe(built), flush=True)
    except (ArchiveError, CatalogError, RunError, VerificationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__, allow_abbrev=False)
    parser.add_argument("--run", type=Path, required=True, help="run folder of `python -m training train`")
    parser.add_argument(
        "--model", action="append", help="one model; may be repeated (default: the run's, without ablations)"
    )
    parser.add_argument("--version", default="1.0", help="version of the archives (default: %(default)s)")
    parser.add_argument(
        "--store", type=Path, default=Path("model_store"), help="where to put them (default: %(default)s)"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace archives of the same version that another run has made"
    )
    parser.add_argument(
        "--engine", choices=FORCED, default=AUTO, help="engine of the archive; auto lets each machine choose"
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=WORKERS,
        help="processes that serve a model, which share the cores (default: %(default)s)",
    )
    parser.add_argument(
        "--cache-mib",
        type=float,
        default=0,
        help="MiB in which each process keeps answers to products that may come again (default: none)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=DEFAULT_LIMIT,
        help="verify on that many test products at most; 0 takes all (default: %(default)s)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _describe(built: Built) -> str:
    size = built.archive.stat().st_size / 1e6
    lines = [f"{built.model:<13} {built.archive}  {size:.0f} MB"]
    lines += [_described(parity) for parity in built.parities.values()]
    return "\n".join(lines)


def _described(parity: Parity) -> str:
    main = parity.main
    return (
        f"  {parity.engine:<12} logits within {parity.largest_difference:.1e}, same class {_same_class(parity)}, "
        f"accuracy {main['accuracy']:.3f} (trained model {main['eager_accuracy']:.3f}) on {parity.products} products"
        + ("" if parity.passed else "; fast" if passes(parity) else "; too far off to be used")
    )


def _same_class(parity: Parity) -> str:
    """That of the least alike attribute, with its name where it is not the main one."""
    lowest = min(parity.attributes, key=lambda name: parity.attributes[name]["same_class"])
    return f"{parity.same_class:.1%}" + ("" if lowest == next(iter(parity.attributes)) else f" ({lowest})")


if __name__ == "__main__":
    sys.exit(main())
