"""Command line of the export: ``python -m export --run runs/demo --store model_store``.

Export each model to TorchScript and ONNX, verify on real products that both agree with the trained model, and build the
archive. Exit status: 0 if all models were archived, 1 on an error or a disagreement (that model is not archived).

``--target triton`` and ``--target python`` write the same archive in another form too, and ``--archive`` takes one that
is there instead of a run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from export.accuracy_gate import passes_gate
from export.archive import BuildError, refuse_other_runs
from export.build import Built, CascadeProducts, build_archive, cascade_products
from export.command_line import PYTHON, TRITON, parse
from export.run_products import RunProducts, read_run_products
from export.signing import Signer, signature_of
from export.targets import python_package, triton
from export.targets.bundle import TargetError
from export.verify import Parity, VerificationError
from handlers.product_serving.engines.table import AUTO
from training.catalog.reading import CatalogError
from training.models import MODELS
from training.run.checkpoint import RunError
from training.run.record import read_run
from training.system.device import follow_cpu_quota
from training.system.storage import StorageError, describe

CALIBRATION_PRODUCTS = 200  # training products to calibrate int8


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the archives that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__, allow_abbrev=False)
    options = parse(parser, sys.argv[1:] if arguments is None else arguments)
    try:
        archives, failed = (options.archive, []) if options.archive else _build(options)
        for archive in archives:
            _write_target(archive, options)
    except (BuildError, CatalogError, RunError, StorageError, TargetError, VerificationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {describe(error)}", file=sys.stderr)
        return 1
    if failed and archives:
        print(f"error: {', '.join(failed)} not archived, the other models are", file=sys.stderr)
    return 1 if failed else 0


def _build(options: argparse.Namespace) -> tuple[list[Path], list[str]]:
    """Build the archives of a run; return them, and the names of the models that were refused."""
    signer = Signer(options.sign) if options.sign else None
    record = read_run(options.run)
    models = options.model or [name for name in record.models if name in MODELS]
    if not options.replace:
        refuse_other_runs(options.store, models, version=options.version, run=options.run, created=record.created)
    for name in models:
        _require_free(name, options)
    print(
        f"Archiving {', '.join(models)} of {options.run} into {options.store}, version {options.version}.",
        flush=True,
    )
    test = read_run_products(options.run, limit=options.limit or None)
    calibrates = options.engine in (AUTO, "int8")
    train = read_run_products(options.run, limit=CALIBRATION_PRODUCTS, part="train") if calibrates else None
    cascade = cascade_products(options.run) if options.cascade else None
    given = _Given(test, train, cascade, signer)
    built = {name: _archived(name, options, given) for name in models}
    return [path for path in built.values() if path], [name for name, path in built.items() if path is None]


def _require_free(model: str, options: argparse.Namespace) -> None:
    """Refuse a target's folder before the archive is built, which takes minutes."""
    if options.target == TRITON:
        triton.require_free(options.out, model, options.version, replace=options.replace)
    elif options.target == PYTHON:
        python_package.require_free(options.out, replace=options.replace)


def _write_target(archive: Path, options: argparse.Namespace) -> None:
    """Write an archive in the form of the target, if that is another one."""
    if options.target == TRITON:
        place = triton.write_repository(archive, options.out, replace=options.replace)
        print(f"{'triton':<13} {place}: `tritonserver --model-repository {options.out}` serves it", flush=True)
    elif options.target == PYTHON:
        place = python_package.write_package(archive, options.out, replace=options.replace)
        print(f"{'python':<13} {place}: `from {place.absolute().name} import load`", flush=True)


class _Given(NamedTuple):
    """What all models of a call share; None where it is not asked for."""

    test: RunProducts
    train: RunProducts | None
    cascade: CascadeProducts | None
    signer: Signer | None


def _archived(name: str, options: argparse.Namespace, given: _Given) -> Path | None:
    """Build the archive of one model; None if it is refused, which the other models do not suffer from."""
    try:
        built = build_archive(
            options.run,
            name,
            version=options.version,
            store=options.store,
            test=given.test,
            train=given.train,
            engine=options.engine,
            workers=options.workers,
            cache_mib=options.cache_mib,
            cascade=given.cascade,
        )
    except (BuildError, VerificationError) as error:
        print(f"error: {name}: {error}", file=sys.stderr, flush=True)
        return None
    print(_describe(built), flush=True)
    signature_of(built.archive).unlink(missing_ok=True)  # of an archive that had this name
    if given.signer is not None:
        print(f"  {'signature':<12} {given.signer(built.archive).name}", flush=True)
    if given.cascade is not None and not built.exits:
        print(f"  {'cascade':<12} none: {name} is no fusion with the lexical model", flush=True)
    return built.archive


def _describe(built: Built) -> str:
    size = built.archive.stat().st_size / 1e6
    lines = [f"{built.model:<13} {built.archive}  {size:.0f} MB"]
    lines += [_describe_parity(parity) for parity in built.parities.values()]
    lines += [_describe_exits(state, each) for state, each in built.exits.items()]
    return "\n".join(lines)


def _describe_parity(parity: Parity) -> str:
    main = parity.main
    return (
        f"  {parity.engine:<12} logits within {parity.largest_difference:.1e}, same class {_same_class(parity)}, "
        f"accuracy {main['accuracy']:.3f} (trained model {main['eager_accuracy']:.3f}) on {parity.products} products"
        + ("" if parity.passed else "; fast" if passes_gate(parity) else "; too far off to be used")
    )


def _describe_exits(state: str, figures: dict[str, float]) -> str:
    words = {"both": "picture and title", "text": "title alone"}[state]
    return (
        f"  {'cascade':<12} {words}: {figures['by_letters']:.1%} answered by letters, {figures['by_title']:.1%} by the "
        f"title, same class {figures['same_class']:.2%}, accuracy {figures['accuracy']:.3f} (in full "
        f"{figures['full_accuracy']:.3f}) on {figures['products']:.0f} products"
    )


def _same_class(parity: Parity) -> str:
    """The lowest share over the attributes, with the attribute's name unless it is the main one."""
    lowest = min(parity.attributes, key=lambda name: parity.attributes[name]["same_class"])
    return f"{parity.same_class:.1%}" + ("" if lowest == next(iter(parity.attributes)) else f" ({lowest})")


if __name__ == "__main__":
    follow_cpu_quota()
    sys.exit(main())
