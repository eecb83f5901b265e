"""Measure the model's step on a GPU as a share of the GPU's peak in bf16.

    python -m benchmarks.studies.gpu_step model_store/intermediate.mar

It needs a GPU, and has not run on one yet. The peak is measured: it is the best rate of square matrix products. Steps
and peaks take turns, so that a drift of the clock changes both alike. Each turn gives a share.

- ``step``: the captured graph, replayed many times in a row.
- ``call``: a call of the engine with arrays, as the handler makes it: upload, step and download of the logits.

FLOPs are those of the graph at the captured size, padding included (``torch.utils.flop_counter``: a multiplication and
its addition count as two). LayerNorm, softmax and activations do not count.
Exit status: 0 measured, 1 there is no GPU, or this GPU or archive cannot run captured graphs.
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

from benchmarks.server.report.summary import figure
from handlers.product_serving.engines.cuda import CudaHalfEngine, half_precision
from handlers.product_serving.engines.engine import Batch, EngineError
from handlers.product_serving.engines.graph_replay import Size
from handlers.product_serving.engines.torchscript import load_graph
from handlers.product_serving.settings import ProductSettings

NGRAMS = 120  # ids of the letters of an average title
PRODUCTS = 64
MATRIX_SIZES = (4096, 8192)  # edges of the matrices for the peak
TURNS = 10
REPEATS = 20
TARGET = 0.35


class Turn(NamedTuple):
    """The figures of one turn and size.

    Args:
        size: size of the graph.
        step_seconds: seconds of the captured graph.
        call_seconds: seconds of a call of the engine.
        share: share of the peak of the same turn, 0..1.
    """

    size: Size
    step_seconds: float
    call_seconds: float
    share: float


def main() -> int:
    """Measure and print a table; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("archive", type=Path, help="archive of a model")
    parser.add_argument("--gpu", type=int, default=0, help="number of the GPU (default: 0)")
    options = parser.parse_args()
    try:
        turns = measure(options.archive, gpu=options.gpu)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{torch.cuda.get_device_name(options.gpu)}, torch {torch.__version__}, {options.archive.name}")
    print("\n".join(_lines(turns)))
    return 0


def measure(archive: Path, *, gpu: int) -> list[Turn]:
    """Measure every captured title length with 64 products, in turns.

    Args:
        archive: a ``.mar``.
        gpu: number of the GPU.

    Raises:
        EngineError: there is no GPU, or the GPU or the archive cannot run captured graphs.
    """
    if not torch.cuda.is_available():
        raise EngineError("no GPU here; this study needs one (`make bench` measures a CPU)")
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
            max_ngrams=settings.max_ngrams,
            max_batch=PRODUCTS,
        )
        graph = load_graph(Path(folder) / "model.pt")
    sizes = [size for size in engine.replayer.graphs if size.products == PRODUCTS]
    # FLOPs are counted on the CPU for one product. They are proportional to the number of products.
    work = {size: PRODUCTS * operations(graph, products(1, size.tokens, settings.image_size)) for size in sizes}
    with torch.cuda.device(gpu):
        turns = list(_turns(engine, work, settings.image_size))
    return turns


def operations(graph: Callable[..., Any], batch: Batch) -> int:
    """Count the FLOPs of a graph's matrix products and convolutions.

    Args:
        graph: graph on the CPU.
        batch: batch to run it with.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        graph(*(torch.from_numpy(array) for array in batch))
    return int(counter.get_total_flops())


def products(count: int, tokens: int, edge: int) -> Batch:
    """Make random products: pictures of ``edge`` x ``edge`` pixels and titles of ``tokens`` tokens."""
    random = np.random.default_rng(0)
    return Batch(
        random.integers(0, 256, (count, 3, edge, edge), dtype=np.uint8),
        random.integers(1, 100, (count, tokens)),
        np.ones((count, tokens), dtype=np.int64),
        np.ones((count, 2), dtype=np.bool_),
        random.integers(1, 100, (count, NGRAMS)),
    )


def _turns(engine: CudaHalfEngine, work: dict[Size, int], edge: int) -> Iterator[Turn]:
    batches = {size: products(PRODUCTS, size.tokens, edge) for size in work}
    for number in tqdm(range(TURNS), desc="measure", unit="turn"):
        peak = _peak()
        for size in list(work)[:: -1 if number % 2 else 1]:
            step = _seconds(engine.replayer.graphs[size].replay)
            call = _seconds(partial(engine, batches[size]))
            yield Turn(size, step, call, work[size] / step / peak)


def _peak() -> float:
    """Return the FLOP/s of the fastest square matrix product in bf16."""
    best = 0.0
    for size in MATRIX_SIZES:
        one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        best = max(best, 2 * size**3 / _seconds(partial(torch.matmul, one, other)))
    return best


def _seconds(call: Callable[[], object]) -> float:
    """Return the seconds of a call, averaged over many calls in a row."""
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
        rows = ((1000 * turn.step_seconds, 1000 * turn.call_seconds, 100 * turn.share) for turn in same)
        cells = (f"{figure(column, 2):>24}" for column in zip(*rows, strict=True))
        yield f"{f'{size.products} x {size.tokens}':18} " + " ".join(cells)
    yield f"Target: {TARGET:.0%} at {PRODUCTS} products."


if __name__ == "__main__":
    sys.exit(main())
