"""The GPU engines: choice and answers on a fake GPU, recorded CUDA calls; the same on a real GPU if there is one."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from late_device import LateDevice
from serving import TITLES, Worker, document, seal
from test_cpu_engines import batch
from test_engine_choice import SIZES, choose

from handlers.product_serving.engines import cuda as cuda_engine
from handlers.product_serving.engines.cuda import WARM_RUNS, CudaDevice, half_precision
from handlers.product_serving.engines.engine import Engine, EngineError
from handlers.product_serving.engines.graph_replay import GraphReplayer
from handlers.product_serving.engines.half_precision import load_half_graph
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.engines.table import LoadOptions, engine_row
from handlers.product_serving.engines.torchscript import TorchScriptEngine

VERIFIED = ("cuda-bf16",)


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A fake GPU that computes on the CPU; keyword arguments go to the late device."""

    def install(*, capability: tuple[int, int] = (9, 0), **options: Any) -> None:
        def load(path: Path, *, device: str, precision: str) -> Any:
            assert device == "cuda:0"
            return load_half_graph(path, device="cpu", precision=precision)

        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda gpu: capability)
        monkeypatch.setattr(cuda_engine, "load_half_graph", load)
        monkeypatch.setattr(cuda_engine, "CudaDevice", lambda graph, device: LateDevice(graph, **options))

    return install


@pytest.mark.parametrize(("capability", "name"), [((9, 0), "cuda-bf16"), ((8, 0), "cuda-bf16"), ((7, 5), "cuda-fp16")])
def test_a_verified_archive_replays_graphs_on_a_gpu(
    graphs: Path, fake_gpu: Callable[..., None], capability: tuple[int, int], name: str
) -> None:
    fake_gpu(capability=capability)
    chosen, engine, reason = choose(graphs, gpu=0, verified=VERIFIED)
    passed_over = "" if name == "cuda-bf16" else "; passed over cuda-bf16 (EngineError)"
    assert (chosen, reason) == (name, "GPU 0 was given" + passed_over)
    exact = OnnxEngine(graphs / "model.onnx", threads=1)
    for products, tokens in [(1, 2), (5, 9), (32, 16)]:
        asked = batch(products, tokens)
        np.testing.assert_allclose(engine(asked), exact(asked), atol=0.02 * np.abs(exact(asked)).max())


def test_it_needs_a_gpu_and_a_verified_archive(graphs: Path, fake_gpu: Callable[..., None]) -> None:
    fake_gpu()
    assert choose(graphs, gpu=None, verified=VERIFIED).name == "onnx"
    chosen = choose(graphs, gpu=0, verified=())
    assert not chosen.name.startswith("cuda-") and "passed over cuda-" not in chosen.reason


@pytest.fixture
def plain(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> TorchScriptEngine:
    """The ``cuda`` engine on the fake GPU."""
    plain = TorchScriptEngine(graphs / "model.pt", device="cpu", threads=1)
    monkeypatch.setattr("handlers.product_serving.engines.table.TorchScriptEngine", lambda path, **options: plain)
    return plain


OTHER_PRECISION = "passed over cuda-fp16 (EngineError)"


def test_after_a_failed_capture_the_plain_graph_answers(
    graphs: Path, fake_gpu: Callable[..., None], plain: TorchScriptEngine, caplog: pytest.LogCaptureFixture
) -> None:
    fake_gpu(fails_at=3)
    reason = f"GPU 0 was given; passed over cuda-bf16 (CaptureError); {OTHER_PRECISION}"
    assert choose(graphs, gpu=0, verified=VERIFIED) == ("cuda", plain, reason)
    assert "operation not permitted when stream is capturing" in caplog.text


def test_after_wrong_half_precision_answers_the_plain_graph_answers(
    graphs: Path, fake_gpu: Callable[..., None], plain: TorchScriptEngine
) -> None:
    def exact_only(engine: Engine) -> None:
        if engine.tolerance > 1e-3:
            raise ValueError("golden product 1: scores differ")

    fake_gpu()
    reason = f"GPU 0 was given; passed over cuda-bf16 (ValueError); {OTHER_PRECISION}"
    assert choose(graphs, gpu=0, verified=VERIFIED, check=exact_only) == ("cuda", plain, reason)


@pytest.mark.parametrize(
    ("gpu", "capability", "message"),
    [
        (None, (9, 0), "cuda-bf16: no GPU$"),
        (3, (9, 0), "cuda-bf16: no GPU 3, there are 1$"),
        (0, (6, 1), r"cuda-bf16: this GPU \(compute capability 6.1\) has no tensor cores$"),
        (0, (7, 5), "cuda-bf16: this GPU computes in fp16, not in bf16$"),
    ],
)
def test_a_forced_engine_names_the_fault(
    graphs: Path, fake_gpu: Callable[..., None], gpu: int | None, capability: tuple[int, int], message: str
) -> None:
    fake_gpu(capability=capability)
    with pytest.raises(EngineError, match=message):
        choose(graphs, wanted="cuda-bf16", gpu=gpu)


def test_the_reference_can_still_be_forced(graphs: Path, fake_gpu: Callable[..., None]) -> None:
    fake_gpu()
    assert choose(graphs, wanted="onnx", gpu=0, verified=VERIFIED).name == "onnx"


def test_an_explanation_uses_the_fp32_graph(
    graphs: Path, fake_gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu()
    asked: list[str] = []
    plain = TorchScriptEngine

    def record(path: Path, *, device: str, threads: int) -> Any:
        asked.append(device)
        return plain(path, device="cpu", threads=threads)

    monkeypatch.setattr(cuda_engine, "TorchScriptEngine", record)
    parts = engine_row("cuda-bf16").build(LoadOptions(graphs, SIZES, threads=1, gpu=0)).parts()
    cells = parts.cells(batch(2, 3).image)
    assert asked == ["cuda:0"] and cells.shape == (2, 4, 3)


@pytest.mark.parametrize("max_batch", [2, 32])
def test_a_worker_answers_with_captured_graphs(
    copy_archive: Callable[..., Path], fake_gpu: Callable[..., None], max_batch: int
) -> None:
    """Through the handler, also if the three golden products exceed a batch."""
    fake_gpu()
    archive = copy_archive(max_batch=max_batch)
    seal(archive, fast={"cuda-bf16": {"passed": True}})
    [answer] = Worker(archive, gpu=0).ask(document({"text": TITLES[0]}))
    assert answer.status == 200
    assert answer.json["model"]["backend"] == "cuda-bf16"
    assert answer.json["model"]["backend_reason"] == "GPU 0 was given"


class RecordedCuda:
    """A fake ``torch.cuda`` that computes on the CPU at once and records the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.stream_now = "default"
        recorded = self

        class Stream:
            name = "own"

            def __init__(self, device: torch.device) -> None:
                assert device == torch.device("cuda", 0)

            def synchronize(self) -> None:
                recorded.calls.append(f"wait for {self.name}")

        class Event:
            of = ""

            def __init__(self, *, blocking: bool) -> None:
                assert blocking

            def record(self, stream: Stream) -> None:
                self.of = stream.name

            def synchronize(self) -> None:
                recorded.calls.append(f"host waits for {self.of}")

        class CUDAGraph:
            def replay(self) -> None:
                recorded.calls.append(f"replay in {recorded.stream_now}")

        @contextlib.contextmanager
        def stream(chosen: Stream) -> Iterator[None]:
            before, recorded.stream_now = recorded.stream_now, chosen.name
            yield
            recorded.stream_now = before

        @contextlib.contextmanager
        def graph(*arguments: Any, **keywords: Any) -> Iterator[None]:
            inspect.signature(real_graph).bind(*arguments, **keywords)
            recorded.calls.append("begin capture")
            with stream(keywords["stream"]):
                yield
            recorded.calls.append("end capture")

        real_graph, real_zeros = torch.cuda.graph, torch.zeros
        for value in (Stream, Event, CUDAGraph, stream, graph):
            monkeypatch.setattr(torch.cuda, value.__name__, value)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
        monkeypatch.setattr(
            torch, "zeros", lambda *shape, dtype, device=None, pin_memory=False: real_zeros(*shape, dtype=dtype)
        )


def test_cuda_calls_are_right_and_in_order(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of CUDA, recorded on a CPU: warm-up, capture and replay in one stream, then the host waits."""
    cuda = RecordedCuda(monkeypatch)
    module = load_half_graph(graphs / "model.pt", device="cpu", precision="bf16")

    def graph(*inputs: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled() and not torch._C._get_graph_executor_optimize()
        cuda.calls.append(f"run in {cuda.stream_now}")
        answer: torch.Tensor = module(*inputs)
        return answer

    device = CudaDevice(graph, device="cuda:0")
    replay = GraphReplayer(device, image_size=32, max_tokens=16, max_ngrams=40, max_batch=4, seconds=0)
    capture = ["wait for own", "begin capture", "run in own", "end capture", "wait for own"]
    assert cuda.calls == ["run in own"] * WARM_RUNS + capture
    assert torch._C._get_graph_executor_optimize(), "left as it was"
    cuda.calls.clear()
    assert replay(batch(3, 4)).shape == (3, 4)
    assert cuda.calls == ["replay in own", "host waits for own"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_real_gpu_every_size_is_near_the_reference(graphs: Path) -> None:
    precision = half_precision(torch.cuda.get_device_capability(0))
    engine = engine_row(f"cuda-{precision}").build(LoadOptions(graphs, SIZES, threads=1, gpu=0))
    exact = OnnxEngine(graphs / "model.onnx", threads=1)
    for products in (1, 3, 8, 31, 32):
        for tokens in (2, 8, 9, 16):
            asked = batch(products, tokens)
            expected = exact(asked)
            np.testing.assert_allclose(engine(asked), expected, atol=0.02 * np.abs(expected).max())


def test_capabilities() -> None:
    assert [half_precision(each) for each in ((7, 0), (7, 5), (8, 0), (8, 9), (10, 0))] == [
        "fp16", "fp16", "bf16", "bf16", "bf16",
    ]  # fmt: skip
