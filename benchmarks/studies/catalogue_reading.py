"""Time and memory of reading a large catalogue: ``python -m benchmarks.studies.catalogue_reading FOLDER``.

Writes a CSV of a million rows and 50,000 pictures into FOLDER, unless it is there. Each round is a new process.
With ``--against TREE`` another checkout reads it in turn, so that both meet the same machine.
"""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

ROWS, PICTURES, PER_FOLDER, EDGE = 1_000_000, 50_000, 1000, 64
TABLE = "products.csv"
WORDS = (
    "Navy",
    "Red",
    "Slim",
    "Cotton",
    "Shirt",
    "Canvas",
    "Shoe",
    "Leather",
    "Bag",
    "Women",
    "Men",
    "Classic",
    "Größe",
)
# Runs in the tree that is measured, with that tree's own modules.
PROGRAM = """
import json, resource, sys, time
from training.catalog.reading import CatalogSource, read_catalog
began = time.perf_counter()
catalog = read_catalog(CatalogSource(path=sys.argv[1]), check_images=sys.argv[2] == "pictures", progress=False)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "mib": peak, "used": len(catalog.products), "read": catalog.read}))
"""


def main() -> None:
    """Measure and print one line for each tree and kind of reading."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    options = parser.parse_args()
    table = write_catalogue(options.folder, rows=options.rows, pictures=options.pictures)
    trees = {"this tree": Path(__file__).parents[2]}
    if options.against:
        trees["the other tree"] = options.against
    for kind in ("rows", "pictures"):
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
        for number in range(options.rounds):
            for name in list(trees)[:: 1 if number % 2 else -1]:
                found[name].append(_measured(trees[name], table, kind))
        for name, rounds in found.items():
            print(f"{kind}, {name}: {_summary(rounds)}", flush=True)


def write_catalogue(folder: Path, *, rows: int, pictures: int) -> Path:
    """Write the catalogue, unless it is there; the pictures are small, so that reading the table weighs.

    Args:
        folder: new, or of an earlier call.
        rows: number of rows.
        pictures: number of pictures, shared among the rows.
    """
    table = folder / TABLE
    if table.exists():
        return table
    rng = random.Random(0)
    for number in range(pictures):
        path = folder / _picture(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        Image.new("RGB", (EDGE, EDGE), colour).save(path, quality=80)
    partial = folder / f".{TABLE}"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text", "label", "price", "description"])
        for number in range(rows):
            title = " ".join(rng.choices(WORDS, k=6))
            described = f"{title}, with a comma and “quotes”" * 2
            writer.writerow([number, _picture(number % pictures), title, rng.choice(WORDS), number / 7, described])
    partial.rename(table)
    return table


def _summary(rounds: Sequence[Mapping[str, Any]]) -> str:
    seconds = [each["seconds"] for each in rounds]
    each = ", ".join(f"{value:.2f}" for value in seconds)
    peak, used, read = max(each["mib"] for each in rounds), rounds[0]["used"], rounds[0]["read"]
    return f"median {statistics.median(seconds):.2f} s of {each}; peak {peak:,.0f} MiB; {used:,} of {read:,} rows used"


def _picture(number: int) -> str:
    return f"images/{number // PER_FOLDER:03d}/{number:06d}.jpg"


def _measured(tree: Path, table: Path, kind: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(table), kind], cwd=tree, capture_output=True, text=True, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
