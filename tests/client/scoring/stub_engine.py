"""An engine without a model, a catalogue for it, and a driver that kills its runs: ``python stub_engine.py --help``."""

import argparse
import csv
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: F401 - pyarrow loads it at its first use, which would be in every process that is forked
import pyarrow.parquet as pq

from client.api.errors import ServerError
from client.api.inference import Product
from client.api.predictions import Prediction, ScoredClass
from client.scoring.answers import answer_rows
from client.scoring.engines import ScoringEngine, write_parts
from client.scoring.run import score_catalog
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogSource

LABELS = ("Bags", "Shirts", "Shoes")
BATCH = 4


def answer(product: Product) -> Prediction | ServerError:
    """What the title's checksum says; some titles are errors."""
    digest = hashlib.sha256(f"{product.text}{product.image!r}".encode()).digest()
    if digest[0] < 16:
        return ServerError(422, "image_corrupt", "image: cannot be decoded")
    score = round(0.4 + digest[1] / 512, 6)
    label, other = LABELS[digest[2] % 3], LABELS[(digest[2] + 1) % 3]
    top = (ScoredClass(label, score), ScoredClass(other, round(1 - score, 6)))
    read = tuple(name for name, value in zip(("image", "text"), product, strict=True) if value is not None)
    return Prediction(label, score, top, read, score < 0.5, {"name": "stub", "version": "1.0", "backend": "stub"})


class StubEngine:
    """Answers by checksum; counts the rows it was asked."""

    def __init__(self, *, delay: float = 0.0, stop_after: int | None = None) -> None:
        self.identity = {"model": "stub", "version": "1.0", "archive": "none"}
        self.description = "stub 1.0"
        self.asked = 0
        self._delay = delay
        self._stop_after = stop_after

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        batches = workspace.batches(chunks, size=BATCH)
        return write_parts(workspace, ((batch, answer_rows(batch.rows, files, self._ask)) for batch in batches))

    def _ask(self, products: Sequence[Product]) -> list[Prediction | ServerError]:
        if self._stop_after is not None and self.asked >= self._stop_after:
            raise KeyboardInterrupt
        self.asked += len(products)
        time.sleep(self._delay)
        return [answer(product) for product in products]


def run(
    catalogue: Path, out: Path, engine: ScoringEngine, *, columns: Mapping[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    """Score a catalogue in chunks of 16 rows, without a word."""
    silent: dict[str, Any] = {"log": lambda _: None, "chunk_rows": 16, "progress": False}
    return score_catalog(CatalogSource(path=str(catalogue), **(columns or {})), out, engine, **{**silent, **options})


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV by their columns."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fingerprint(out: Path) -> dict[str, str]:
    """Checksums of all that a run left."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Kill a run at each write to the disk, or at random moments; each time let another run complete it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("out", type=Path, help="folder for the results of every run")
    parser.add_argument("--delays", type=float, nargs="*", help="seconds after which a run is killed, again and again")
    options = parser.parse_args()
    whole = options.out / "whole"
    _child(lambda: run(options.catalogue, whole, StubEngine()))
    killed = _at_random(options) if options.delays else _at_every_write(options)
    for folder in killed:
        if fingerprint(folder) != fingerprint(whole):
            sys.exit(f"{folder.name}: differs from an uninterrupted run")
    print(len(killed), "runs were killed")


def _at_every_write(options: argparse.Namespace) -> list[Path]:
    folders = []
    for moment in count():
        folder = options.out / f"write-{moment}"
        if not _child(lambda folder=folder, moment=moment: _run_until(moment, options.catalogue, folder)):
            return folders
        assert _child(lambda folder=folder: run(options.catalogue, folder, StubEngine())) == 0
        folders.append(folder)
    raise AssertionError("counts without end")


def _run_until(moment: int, catalogue: Path, folder: Path) -> None:
    """Run, and die before one of the calls by which files appear and go, or with a file half written."""
    calls = count()

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def dying(*arguments: Any, **options: Any) -> None:
            if next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            call(*arguments, **options)

        return dying

    def halved(call: Callable[..., Any], *, place: int) -> Callable[..., Any]:
        def dying(*arguments: Any, **options: Any) -> None:
            call(*arguments, **options)
            if next(calls) == moment:
                os.truncate(arguments[place], Path(arguments[place]).stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        return dying

    os.replace, os.unlink = wrapped(os.replace), wrapped(os.unlink)
    pq.write_table = halved(pq.write_table, place=1)
    Path.write_text = halved(Path.write_text, place=0)
    run(catalogue, folder, StubEngine())


def _at_random(options: argparse.Namespace) -> list[Path]:
    folder = options.out / "random"
    for delay in options.delays:
        _child(lambda: run(options.catalogue, folder, StubEngine(delay=0.01)), kill_after=delay)
    assert _child(lambda: run(options.catalogue, folder, StubEngine())) == 0
    return [folder]


def _child(act: Callable[[], Any], *, kill_after: float | None = None) -> int:
    """Act in a process of its own, forked before any library has made a thread; its status, not 0 where it died."""
    process = os.fork()
    if process == 0:
        act()
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, -signal.SIGKILL), f"a run ended with {status}"
    return status


if __name__ == "__main__":
    main()
