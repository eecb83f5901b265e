"""Compare our server with other servers (peers): same engine, same machine, same run.

    make bench                                            about half an hour on two cores
    make bench BENCH=quick                                check that everything runs; its figures mean little
    make bench BENCH_ARGS="--data fashion.zip --shape bert"
    python -m benchmarks.server --help

It writes a report (Markdown, JSON and a chart) to ``benchmarks/results/``. Run it on an idle machine.
Exit status: 0 it wrote a report, 1 an error. A missed target is not an error.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.server.load.bodies import Sample, make_bodies, read_samples, run_samples, write_bodies
from benchmarks.server.measure.plan import PLANS, Plan
from benchmarks.server.measure.rounds import Rounds, add_simulations
from benchmarks.server.report.document import document, write_report
from benchmarks.server.report.machine import describe_machine
from benchmarks.server.systems.names import SYSTEMS
from benchmarks.server.systems.served_model import MODEL, SHAPES, archive_run, archive_shape
from client.api.errors import ClientError
from export.archive import WORKERS
from export.run_products import read_run_products
from export.verify import VerificationError
from training.catalog import CatalogError
from training.catalog.drawn import write_sample_catalog
from training.models.weights.weights_file import WeightsError
from training.run.checkpoint import RunError

RESULTS = Path(__file__).parents[1] / "results"
DRAWN = "drawn catalogue"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write a report; returns the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # SIGTERM also stops the running server
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _run(options, Path(folder))
    except (CatalogError, ClientError, RunError, VerificationError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace, folder: Path) -> None:
    plan, began = PLANS[options.plan], time.monotonic()
    if not options.peers_python.exists():
        raise ClientError(f"{options.peers_python} does not exist; `make bench` installs it and the peers")
    machine = describe_machine(options.peers_python)
    if options.cascade and not options.run:
        raise ClientError("--cascade needs --run: the exits are fitted on the products of a trained run")
    samples = _samples(options, plan, folder)
    made = {kind: make_bodies(samples, kind, photos=plan.photos) for kind in plan.kinds}
    bodies = {kind: write_bodies(content, folder / f"{kind}.bodies") for kind, content in made.items()}
    print("Exporting the model and packing its archive.", flush=True)
    store = folder / "store"
    store.mkdir()
    if options.run:
        served = archive_run(options.run, options.model, store, workers=options.workers, cascade=options.cascade)
    else:
        served = archive_shape(options.shape, store, samples, workers=options.workers)
    results = Rounds(plan, served, python=options.peers_python, bodies=bodies, only=options.only).run()
    add_simulations(results, cap=served.cap, workers=served.workers)
    report = document(
        results,
        machine=machine | {"load_average_after": list(os.getloadavg())},
        served=served,
        plan=plan,
        catalogue=_catalogue(options),
        when=datetime.now(UTC),
        minutes=(time.monotonic() - began) / 60,
    )
    print(write_report(report, options.out).read_text(encoding="utf-8"))


def _catalogue(options: argparse.Namespace) -> str:
    if options.data:
        return str(options.data.name)
    return f"test products of {options.run.name}" if options.run else DRAWN


def _samples(options: argparse.Namespace, plan: Plan, folder: Path) -> list[Sample]:
    """The products to ask for: those of ``--data``, test products of ``--run``, or drawn ones."""
    if options.run and not options.data:
        return run_samples(read_run_products(options.run, limit=None).pairs(), plan.products)
    data = options.data or write_sample_catalog(folder / "drawn", per_class=plan.products // 6).parent
    return read_samples(data, plan.products)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--plan", choices=PLANS, default="full", help="how much to measure (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="catalogue of pictures and titles (default: a drawn catalogue)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", type=Path, help="run folder; measure one of its models")
    what.add_argument(
        "--shape", choices=SHAPES, default="minilm", help="measure an architecture without training (default: minilm)"
    )
    parser.add_argument(
        "--cascade",
        action="store_true",
        help="also measure an archive of the run with a cascade, in our server and in a peer",
    )
    parser.add_argument(
        "--model", default=MODEL, help="model of the run; it must read both modalities (default: %(default)s)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SYSTEMS,
        default=SYSTEMS,
        help="measure only these systems, and the pipeline in process",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=WORKERS,
        help="worker processes of each system; they share the cores (default: %(default)s, as in an archive)",
    )
    parser.add_argument(
        "--peers-python", type=Path, default=Path("build/bench/bin/python"), help="Python of the peers' environment"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="output folder for the report (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
