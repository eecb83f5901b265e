"""The model's step on a GPU, as a share of what the GPU multiplies in bf16.

    python -m benchmarks.studies.gpu_step model_store/intermediate.mar

Runs on a GPU only; not yet run on one. The peak is measured, not read in a data sheet: the best of some square matrix
products. Steps and peaks take turns, so that a drift of the clock meets both alike; the share is taken turn by turn.

- ``step``: the captured graph alone, replayed many times in a row.
- ``call``: the engine as the handler calls it, arrays in, logits out: upload, step and answer.

FLOPs are those of the graph at the size that is captured (``torch.utils.flop_counter``, two to a multiplication with
its addition), titles' padding included; what LayerNorm, softmax and activations do is not counted.
Exit status: 0 measured, 1 no GPU, or this GPU or archive does not run captured graphs.
"""

import argparse
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from benchmarks.server.report.summary import summarise
from handlers.product_serving.engines.cuda import CudaHalfEngine, half_precision
from handlers.product_serving.engines.engine import Batch, EngineError
from handlers.product_serving.engines.graph_replay import Size
from handlers.product_serving.engines.torchscript import load_graph
from handlers.product_serving.settings import ProductSettings

PRODUCTS = 64
MATRIX_SIZES = (4096, 8192)  # of the matrices that the peak is measured with
TURNS = 10
REPEATS = 20
TARGET = 0.35


class Turn(NamedTuple):
    """One turn of one size.

    Args:
        size: of the graph.
        step_seconds: of the captured graph.
        call_seconds: of the engine.
        share: of the peak that was measured in the same turn.
    """

    size: Size
    step_seconds: float
    call_seconds: float
    share: float


def main() -> int:
    """Measure and print a table; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("archive", type=Path, help="archive of a model")
    parser.add_argument("--gpu", type=int, default=0, help="its number (default: 0)")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: no GPU here; this measurement says nothing about a CPU (`make bench` does)", file=sys.stderr)
        return 1
    try:
        turns = measure(options.archive, gpu=options.gpu)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{torch.cuda.get_device_name(options.gpu)}, torch {torch.__version__}, {options.archive.name}")
    print("\n".join(_lines(turns)))
    return 0


def measure(archive: Path, *, gpu: int) -> list[Turn]:
    """Every captured title length at 64 products, in turns.

    Args:
        archive: a ``.mar``.
        gpu: its number.

    Raises:
        EngineError: the GPU or the graph is not up to it.
    """
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder, ["model.pt", "settings.json"])
        settings = ProductSettings.from_json(Path(folder) / "settings.json")
        engine = CudaHalfEngine(
            Path(folder) / "model.pt",
            gpu=gpu,
            precision=half_precision(torch.cuda.get_device_capability(gpu)),
            image_size=settings.image_size,
            max_tokens=settings.max_tokens,
            max_batch=PRODUCTS,
        )
        graph = load_graph(Path(folder) / "model.pt")
    sizes = [size for size in engine.replayer.graphs if size.products == PRODUCTS]
    # Operations are counted on the CPU, at one product: the graph's are those times the products.
    work = {size: PRODUCTS * operations(graph, products(1, size.tokens, settings.image_size)) for size in sizes}
    with torch.cuda.device(gpu):
        turns = list(_turns(engine, work, settings.image_size))
    return turns


def operations(graph: Callable[..., Any], batch: Batch) -> int:
    """FLOPs of a graph's multiplications on a batch.

    Args:
        graph: on the CPU.
        batch: of the size that is asked about.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        graph(*(torch.from_numpy(array) for array in batch))
    return int(counter.get_total_flops())


def products(count: int, tokens: int, side: int) -> Batch:
    """Products of noise, each with a picture and a title of so many tokens."""
    random = np.random.default_rng(0)
    return Batch(
        random.integers(0, 256, (count, 3, side, side), dtype=np.uint8),
        random.integers(1, 100, (count, tokens)),
        np.ones((count, tokens), dtype=np.int64),
        np.ones((count, 2), dtype=np.bool_),
    )


def _turns(engine: CudaHalfEngine, work: dict[Size, int], side: int) -> Iterator[Turn]:
    batches = {size: products(PRODUCTS, size.tokens, side) for size in work}
    for number in tqdm(range(TURNS), desc="measure", unit="turn"):
        peak = _peak()
        for size in list(work)[:: -1 if number % 2 else 1]:
            step = _seconds(engine.replayer.graphs[size].replay)
            call = _seconds(partial(engine, batches[size]))
            yield Turn(size, step, call, work[size] / step / peak)


def _peak() -> float:
    """FLOP/s of the best square matrix product in bf16."""
    best = 0.0
    for size in MATRIX_SIZES:
        one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        best = max(best, 2 * size**3 / _seconds(partial(torch.matmul, one, other)))
    return best


def _seconds(call: Callable[[], object]) -> float:
    """Of one call among many that the GPU has in a row."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(REPEATS):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / REPEATS


def _lines(turns: list[Turn]) -> Iterator[str]:
    yield f"{'products x tokens':18} {'step ms':>24} {'call ms':>24} {'% of the bf16 peak':>24}"
    for size in dict.fromkeys(turn.size for turn in turns):
        same = [turn for turn in turns if turn.size == size]
        columns = (
            summarise([1000 * turn.step_seconds for turn in same]),
            summarise([1000 * turn.call_seconds for turn in same]),
            summarise([100 * turn.share for turn in same]),
        )
        yield f"{f'{size.products} x {size.tokens}':18} " + " ".join(f"{each.text(2):>24}" for each in columns if each)
    yield f"Target: {TARGET:.0%} at {PRODUCTS} products."


if __name__ == "__main__":
    sys.exit(main())
