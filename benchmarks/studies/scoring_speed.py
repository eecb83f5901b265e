"""Score a whole catalogue with each engine, as a user would, and measure rows a second and peak memory.

    python -m benchmarks.studies.scoring_speed fashion.zip --archive model_store/intermediate.mar \\
        --out build/scoring_speed

Each engine runs in its own ``python -m client score``. The time includes reading the table, loading the model and
writing the results. The server is started before, on free ports, with our configuration and this archive, and is warm.

Memory is the peak sum over all processes of an engine, those of the server included: resident (a page that processes
share counts for each of them) and private (without pages of files). The figures go to ``scoring_speed.json`` and
``scoring_speed.md``. Earlier figures of other engines stay, so engines can be measured one at a time.

Run it on an idle machine.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.server.report.machine import describe_machine
from benchmarks.server.systems.process_usage import MARK, marked, new_mark, usage
from benchmarks.server.systems.torchserve_config import write_config
from benchmarks.studies.sampled_catalogue import sample_products, write_table
from client.archives.model_store import identify_archive
from client.commands.arguments import ENGINE_HELP
from client.server import local_server
from client.server.processes import server_processes
from training.catalog import CatalogSource

NAME = "scoring_speed"
PAUSE = 0.2
GIB = 2**30


def measure(command: Sequence[str], *, others: Callable[[], Collection[int]]) -> dict[str, float]:
    """Run a command and measure its time and the memory of its processes.

    Args:
        command: the command with its arguments.
        others: function that returns further processes that work for it.

    Returns:
        ``seconds``, ``peak_gib`` and ``private_gib``.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    mark, resident, private = new_mark(), 0, 0
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=sys.stderr)
    try:
        while process.poll() is None:
            used = usage(marked(mark) | set(others())).values()
            resident = max(resident, sum(each.resident_bytes for each in used))
            private = max(private, sum(each.private_bytes for each in used))
            time.sleep(PAUSE)
    finally:
        process.terminate()
        status = process.wait()
    seconds = time.perf_counter() - began
    if status:
        raise subprocess.CalledProcessError(status, command)
    return {"seconds": seconds, "peak_gib": resident / GIB, "private_gib": private / GIB}


def score(engine: str, catalogue: Path, *, archive: Path, scores: Path) -> dict[str, Any]:
    """Score a catalogue with one engine, and delete the scores.

    Returns:
        The counts ``read``, ``predicted`` and ``errors``, the result of :func:`measure`, and ``rows_per_second``.
    """
    model = identify_archive(archive).model
    own = ["score", str(catalogue), "--out", str(scores), "--engine", engine, "--model", model]
    with serving(archive) if engine == "server" else contextlib.nullcontext((["--archive", str(archive)], set)) as how:
        more, others = how
        before, behind = (more, []) if engine == "server" else ([], more)
        found = measure([sys.executable, "-m", "client", *before, *own, *behind], others=others)
    summary = json.loads((scores / "summary.json").read_text(encoding="utf-8"))
    shutil.rmtree(scores)
    counts = {name: summary[name] for name in ("read", "predicted", "errors")}
    return {**counts, **found, "rows_per_second": summary["read"] / found["seconds"]}


@contextlib.contextmanager
def serving(archive: Path) -> Iterator[tuple[list[str], Callable[[], Collection[int]]]]:
    """Start a server of one archive; yield the client's options for it, and a function that returns its processes."""
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
        config = write_config(Path(folder), store=archive.parent.resolve(), load_models=archive.name)
        local = local_server.start(config, timeout=local_server.START_TIMEOUT, log=lambda _: None)
        try:
            yield ["--config", str(Path(folder) / "config.properties")], lambda: server_processes(local.temporary)
        finally:
            local_server.stop(config)


def table(engines: dict[str, dict[str, Any]]) -> str:
    """Write the figures as a Markdown table."""
    lines = [
        "| engine | rows | answered | errors | seconds | rows/s | peak resident, GiB | peak private, GiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, each in engines.items():
        lines.append(
            f"| {name} | {each['read']:,} | {each['predicted']:,} | {each['errors']:,} | {each['seconds']:,.0f} | "
            f"{each['rows_per_second']:,.1f} | {each['peak_gib']:.2f} | {each['private_gib']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure each engine, write the figures after each one, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("catalog", type=Path, metavar="CATALOG", help="catalogue to score")
    parser.add_argument("--archive", type=Path, required=True, metavar="FILE", help="archive in a model store")
    parser.add_argument("--engines", nargs="+", choices=ENGINE_HELP, default=list(ENGINE_HELP), help="default: all")
    parser.add_argument("--rows", type=int, metavar="N", help="number of products to draw (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    catalogue = options.catalog
    if options.rows is not None:
        sampled = sample_products(CatalogSource(path=str(catalogue)), options.out / "catalogue", count=options.rows)
        catalogue = write_table(sampled, options.out / "catalogue" / "products.csv")
    path = options.out / f"{NAME}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"engines": {}}
    for engine in options.engines:
        print(f"{engine}: scoring {catalogue}", file=sys.stderr, flush=True)
        found = score(engine, catalogue, archive=options.archive, scores=options.out / f"scores-{engine}")
        record["engines"][engine] = {**found, "machine": describe_machine(Path(sys.executable))}
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(table(record["engines"]) + "\n", encoding="utf-8")
    print(table(record["engines"]))


if __name__ == "__main__":
    main()
