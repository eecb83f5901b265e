"""Peak memory and speed of the scoring around the model, for catalogues of any length: an engine that costs nothing.

    python -m benchmarks.studies.scoring_memory --rows 10000 100000 1000000 --out memory.json

Each catalogue is a CSV of titles with one duplicate id in a thousand, and is scored in a process of its own. A tenth of
the answers ask for review, one in a hundred is an error.
"""

import argparse
import csv
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

from client.api.errors import ServerError
from client.api.inference import Product
from client.api.predictions import Prediction, Scored
from client.scoring.answers import answer_rows
from client.scoring.engines import score_batches
from client.scoring.run import score_catalog
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles, CatalogSource

BATCH = 32
LABELS = ("Bags", "Caps", "Shirts", "Shoes", "Watches")


class FreeEngine:
    """Answers by the title's checksum."""

    def __init__(self) -> None:
        self.identity = {"model": "free", "version": "1.0", "archive": "none"}
        self.description = "an engine that costs nothing"

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.Engine`."""
        batches = workspace.batches(chunks, size=BATCH)
        return score_batches(workspace, ((batch, answer_rows(batch.rows, files, _answers)) for batch in batches))


def _answers(products: Sequence[Product]) -> list[Prediction | ServerError]:
    return [_answer(crc32(str(product.text).encode())) for product in products]


def _answer(number: int) -> Prediction | ServerError:
    if number % 100 == 0:
        return ServerError(422, "image_corrupt", "image: cannot be decoded; send a complete JPEG, PNG or WebP")
    score = round(number % 9973 / 9973, 6)
    top = tuple(Scored(label, score) for label in LABELS)
    return Prediction(LABELS[number % 5], score, top, ("text",), score < 0.1, {"name": "free", "version": "1.0"})


def write_catalogue(path: Path, rows: int) -> None:
    """A CSV of so many titles."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        for row in range(rows):
            writer.writerow(
                [row - row % 1000 if row % 1000 == 999 else row, f"Marlow Men Navy Classic Shirt No. {row}"]
            )


def measure(catalogue: Path, out: Path) -> dict[str, Any]:
    """Score a catalogue in this process: rows, seconds, and the memory it had at most."""
    began = time.perf_counter()
    summary = score_catalog(CatalogSource(path=str(catalogue)), out, FreeEngine(), say=lambda _: None, progress=False)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = {name: summary[name] for name in ("read", "predicted", "errors", "review")}
    return {**counts, "seconds": round(seconds, 1), "peak_mib": round(peak, 1)}


def main() -> None:
    """Measure each length, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    results = []
    print(f"{'rows':>10} {'predicted':>10} {'errors':>8} {'review':>8} {'rows/s':>8} {'peak MiB':>9}")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
            catalogue = Path(folder) / "titles.csv"
            write_catalogue(catalogue, rows)
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                result = pool.submit(measure, catalogue, Path(folder) / "out").result()
        results.append(result)
        print(
            f"{result['read']:>10,} {result['predicted']:>10,} {result['errors']:>8,} {result['review']:>8,} "
            f"{result['read'] / result['seconds']:>8,.0f} {result['peak_mib']:>9,.0f}",
            flush=True,
        )
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
