"""The overhead of scoring a catalogue: each way to score against the most that it could reach.

    make serve
    python -m benchmarks.studies.scoring_overhead --data fashion.zip --archive model_store/intermediate.mar \\
        --rows 4000 --rounds 4 --out benchmarks/results/scoring.json

Five ways to answer the same rows, in every round, in turns forwards and backwards (A B B A), so that a drift of the
machine meets all alike; ratios are taken within a round. Times are those of the answering: neither the loading of a
model nor the reading of the table, which is a matter of seconds, counts.

- ``raw``: the handler's own steps on pictures that lie in memory, decoded ahead; nothing is read or written.
- ``local``: ``--engine local``. To compare with raw.
- ``ray``: ``--engine ray`` with one actor that has all cores, from its first part to its last. To compare with local.
- ``saturation``: the running server under requests that were encoded beforehand, more of them than it can take at once;
  their answers are thrown away.
- ``server``: ``--engine server``. To compare with saturation.

Run it on a machine that does nothing else.
"""

import argparse
import base64
import http.client
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from client.scoring.engines import Engine, ordered_map
from client.scoring.local import READERS, LocalEngine
from client.scoring.ray_data import RayEngine
from client.scoring.remote import PRODUCTS, ServerEngine, server_engine
from client.scoring.workspace import Workspace, make_workspace
from client.server.config import ServerConfig, read_config
from handlers.product_serving.request import ProductFields
from training.catalog import CatalogFiles, CatalogSource, open_files

CHUNK_ROWS = 512
RATIOS = (("local", "raw"), ("ray", "local"), ("server", "saturation"))
Fields = list[ProductFields]
Measure = Callable[[], float]


class Bench:
    """The same rows for everyone.

    Args:
        data: the catalogue.
        folder: for workspaces, thrown away.
        rows: of the catalogue's first ones.
    """

    def __init__(self, data: Path, folder: Path, rows: int) -> None:
        self.files: CatalogFiles = open_files(data)
        source, key = CatalogSource(path=str(data)), {"chunk_rows": CHUNK_ROWS}
        whole = make_workspace(folder / "whole", key, source=source, files=self.files, progress=False)
        self.workspace = Workspace(whole.folder, min(rows, whole.read) // CHUNK_ROWS * CHUNK_ROWS, CHUNK_ROWS)
        if len(self.workspace.chunks) < 2:
            raise SystemExit(f"at least {2 * CHUNK_ROWS} rows are needed")
        batches = self.workspace.batches(self.workspace.chunks, size=CHUNK_ROWS)
        usable = [row for batch in batches for row in batch.rows if row.fault is None]
        self.products = [(self.files.read(row.image) if row.image else None, row.text or None) for row in usable]

    def engine(self, engine: Engine) -> float:
        """Rows a second of an engine."""
        parts = self._score(engine)
        return self.workspace.read / (parts[-1] - self._began)

    def ray(self, engine: Engine) -> float:
        """Rows a second of an engine that starts processes: from its first part to its last one."""
        parts = self._score(engine)
        return (self.workspace.read - CHUNK_ROWS) / (parts[-1] - parts[0])

    def _score(self, engine: Engine) -> list[float]:
        """When each part was written, in seconds since the epoch."""
        for part in self.workspace.folder.glob("part-*"):
            part.unlink()
        self._began = time.time()
        for _ in engine.score(self.workspace, self.files, list(self.workspace.chunks)):
            pass
        return sorted(part.stat().st_mtime for part in self.workspace.folder.glob("part-*"))

    def raw(self, local: LocalEngine) -> float:
        """Products a second of the handler's own steps."""
        handler = local.handler
        fields = [ProductFields(image, text, handler.settings.default_top_k) for image, text in self.products]
        size = handler.settings.max_batch
        batches: list[Fields] = [fields[start : start + size] for start in range(0, len(fields), size)]
        began = time.perf_counter()
        with ThreadPoolExecutor(READERS) as pool:
            for items, products in ordered_map(pool, handler.preprocess, batches, ahead=READERS + 1):
                handler.explain(items, products, handler.inference(products), [False] * len(items))
        return len(fields) / (time.perf_counter() - began)

    def saturation(self, config: ServerConfig, model: str, connections: int) -> float:
        """Products a second of a server that never waits for a request."""
        bodies: SimpleQueue[bytes] = SimpleQueue()
        for start in range(0, len(self.products), PRODUCTS):
            bodies.put(_body(self.products[start : start + PRODUCTS]))
        address = urlsplit(config.inference_url)
        headers = {"Content-Type": "application/json", **config.tokens().headers("inference")}

        def send(_: int) -> None:
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
            try:
                while True:
                    connection.request("POST", f"/predictions/{model}", bodies.get_nowait(), headers)
                    answer = connection.getresponse()
                    if answer.read() and answer.status != http.HTTPStatus.OK:
                        raise SystemExit(f"the server answers {answer.status}: fewer --connections")
            except Empty:
                connection.close()

        began = time.perf_counter()
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(send, range(connections)))
        return len(self.products) / (time.perf_counter() - began)


def _body(products: Iterable[tuple[bytes | None, str | None]]) -> bytes:
    fields = [{"image": image and base64.b64encode(image).decode(), "text": text} for image, text in products]
    instances = [{name: value for name, value in each.items() if value is not None} for each in fields]
    return json.dumps({"instances": instances}).encode()


def rounds(measures: dict[str, Measure], count: int) -> dict[str, list[float]]:
    """Measure everything ``count`` times, every second round backwards, after a warm-up that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(-1, count):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            rate = measures[name]()
            print(f"round {number + 1}: {name} {rate:,.1f} rows/s", flush=True)
            if number >= 0:
                rates[name].append(rate)
    return rates


def table(rates: dict[str, list[float]]) -> list[dict[str, object]]:
    """Median and spread of each way, and of each ratio within a round."""
    pairs = [pair for pair in RATIOS if set(pair) <= rates.keys()]
    found = [(name, rates[name]) for name in rates]
    found += [(f"{a} / {b}", [x / y for x, y in zip(rates[a], rates[b], strict=True)]) for a, b in pairs]
    return [
        {"what": name, "median": statistics.median(values), "least": min(values), "most": max(values), "all": values}
        for name, values in found
    ]


def main() -> None:
    """Measure, print a table, keep the figures."""
    options = _parser().parse_args()
    config = read_config(options.config)
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
        bench = Bench(options.data, Path(folder), options.rows)
        print(f"{bench.workspace.read:,} rows of {options.data}, {options.rounds} rounds and a warm-up", flush=True)
        results = table(rounds(_measures(bench, options, config), options.rounds))
    for row in results:
        print(f"{row['what']!s:>20} {row['median']:>9.3f}  ({row['least']:.3f} to {row['most']:.3f})")
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    document = {"rows": bench.workspace.read, "rounds": options.rounds, **machine, "results": results}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _measures(bench: Bench, options: argparse.Namespace, config: ServerConfig) -> dict[str, Measure]:
    local = LocalEngine(options.archive)
    ray = RayEngine(options.archive)
    model = local.identity["model"]
    found: dict[str, Measure] = {
        "raw": lambda: bench.raw(local),
        "local": lambda: bench.engine(local),
        "ray": lambda: bench.ray(ray),
    }
    if "server" in options.engines:
        server: ServerEngine = server_engine(config, config.tokens(), model=model)
        found["saturation"] = lambda: bench.saturation(config, model, options.connections)
        found["server"] = lambda: bench.engine(server)
    wanted = set(itertools.chain(*(pair for pair in RATIOS if pair[0] in options.engines)))
    return {name: measure for name, measure in found.items() if name in wanted}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="catalogue")
    parser.add_argument("--archive", type=Path, required=True, help="of the model that the server serves")
    parser.add_argument("--config", type=Path, default=Path("config.properties"), help="of the server")
    parser.add_argument(
        "--engines", nargs="+", choices=[pair[0] for pair in RATIOS], default=["local", "ray", "server"]
    )
    parser.add_argument("--connections", type=int, default=64, help="of the saturation (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=4000, help="in whole chunks of 512 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
