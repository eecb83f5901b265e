"""The choice between the engines: by the machine, by what was verified and by a measurement, and it says why."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from handlers.product_serving.engine import Backend, BackendError
from handlers.product_serving.engines import int8 as int8_backend
from handlers.product_serving.engines.choice import Choice
from handlers.product_serving.engines.int8 import INT8_GRAPH, Int8Backend

BOTH = ("openvino:bf16", "onnxruntime:int8")


def accept(backend: Backend) -> None:
    """Any answer will do."""


def choose(
    folder: Path, *, forced: str = "auto", verified: tuple[str, ...] = (), **changes: Any
) -> tuple[Backend, str]:
    options: dict[str, Any] = {"gpu": None, "threads": 1, "accept": accept, "seconds": lambda backend: 1.0, **changes}
    return Choice(folder, **options).choose(forced, verified=verified)


@pytest.mark.parametrize(
    ("forced", "gpu", "name", "reason"),
    [
        ("auto", None, "onnxruntime:cpu", "no GPU"),
        ("fp32", None, "onnxruntime:cpu", "settings ask for fp32"),
        ("fp32", 0, "onnxruntime:cpu", "settings ask for fp32"),
        ("torchscript", None, "torchscript:cpu", "settings ask for torchscript"),
    ],
)
def test_the_choice_and_its_reason(graphs: Path, forced: str, gpu: int | None, name: str, reason: str) -> None:
    backend, why = choose(graphs, forced=forced, gpu=gpu)
    assert (backend.name, why) == (name, reason)


def test_a_backend_that_is_not_accepted_gives_way(graphs: Path, caplog: pytest.LogCaptureFixture) -> None:
    def only_torchscript(backend: Backend) -> None:
        if backend.name != "torchscript:cpu":
            raise ValueError("golden product 1: scores differ")

    backend, reason = choose(graphs, accept=only_torchscript)
    assert (backend.name, reason) == ("torchscript:cpu", "no GPU; passed over onnxruntime (ValueError)")
    assert caplog.messages == ["backend onnxruntime is passed over: golden product 1: scores differ"]


def test_a_graph_that_cannot_be_loaded_gives_way(graphs: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes((graphs / "model.pt").read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"broken")
    backend, reason = choose(tmp_path)
    assert backend.name == "torchscript:cpu" and "passed over onnxruntime" in reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_does_not_work_gives_way(graphs: Path) -> None:
    backend, reason = choose(graphs, gpu=0)
    assert backend.name == "onnxruntime:cpu" and reason.startswith("GPU 0 was given; passed over torchscript")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_is_preferred(graphs: Path) -> None:
    backend, reason = choose(graphs, gpu=0)
    assert (backend.name, reason) == ("torchscript:cuda", "GPU 0 was given")


def test_a_forced_backend_has_no_second(graphs: Path) -> None:
    def refuse(backend: Backend) -> None:
        raise ValueError("no")

    with pytest.raises(BackendError, match=r"^no backend gives the expected answers: onnxruntime: no$"):
        choose(graphs, forced="fp32", accept=refuse)
    with pytest.raises(BackendError, match="onnxruntime: no; torchscript: no"):
        choose(graphs, accept=refuse)


@pytest.mark.parametrize(
    ("gain", "verified", "name", "reason"),
    [
        (2.0, ("openvino:bf16",), "openvino:bf16", "no GPU; 2.0 times as fast here as onnxruntime:cpu"),
        (1.05, ("openvino:bf16",), "onnxruntime:cpu", "no GPU; openvino:bf16 is 1.05 times as fast here"),
        (2.0, (), "onnxruntime:cpu", "no GPU"),
    ],
)
def test_a_fast_engine_answers_where_it_was_verified_and_pays(
    graphs: Path, monkeypatch: pytest.MonkeyPatch, *, gain: float, verified: tuple[str, ...], name: str, reason: str
) -> None:
    pretend_bf16(monkeypatch)

    def seconds(backend: Backend) -> float:
        return gain if backend.name == "onnxruntime:cpu" else 1.0

    backend, why = choose(graphs, verified=verified, seconds=seconds)
    assert (backend.name, why) == (name, reason)


def pretend_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without bf16 computes the same in fp32."""
    import openvino  # noqa: PLC0415

    monkeypatch.setattr(openvino.Core, "get_property", lambda *given: ["BF16"])


@pytest.mark.parametrize("fault", ["no bf16", "not installed", "wrong answers"])
def test_a_fast_engine_that_fails_leaves_the_reference_in_charge(
    graphs: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    import openvino  # noqa: PLC0415

    def exact_only(backend: Backend) -> None:
        if fault == "wrong answers" and backend.name != "onnxruntime:cpu":
            raise ValueError("golden product 1: scores differ")

    monkeypatch.setattr(openvino.Core, "get_property", lambda *given: [] if fault == "no bf16" else ["BF16"])
    if fault == "not installed":
        monkeypatch.setitem(sys.modules, "openvino", None)
    error = {"no bf16": "BackendError", "not installed": "ModuleNotFoundError", "wrong answers": "ValueError"}[fault]
    backend, why = choose(graphs, verified=("openvino:bf16",), accept=exact_only)
    assert (backend.name, why) == ("onnxruntime:cpu", f"no GPU; passed over openvino ({error})")


@pytest.fixture
def rounded(graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an int8 graph, which is the fp32 one, and a CPU that is said to have VNNI."""
    for name in ("model.onnx", "model.pt"):
        shutil.copy(graphs / name, tmp_path)
    shutil.copy(graphs / "model.onnx", tmp_path / INT8_GRAPH)
    (tmp_path / "cpuinfo").write_text("flags\t: fpu avx2 avx_vnni\n")
    monkeypatch.setattr(int8_backend, "CPU_INFO", tmp_path / "cpuinfo")
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "seconds", "verified", "name", "reason"),
    [
        ("amx_bf16", (3, 1, 1), BOTH, "openvino:bf16", "no GPU; 3.0 times as fast"),
        ("", (3, 1, 1), BOTH, "onnxruntime:int8", "no GPU; 3.0 times as fast"),
        ("amx_bf16", (3, 1, 1), ("onnxruntime:int8",), "onnxruntime:int8", "no GPU; 3.0 times as fast"),
        ("", (3, 1, 1), ("openvino:bf16",), "openvino:bf16", "no GPU; 3.0 times as fast"),
        (
            "amx_bf16",
            (3, 3, 1),
            BOTH,
            "onnxruntime:int8",
            "no GPU; openvino:bf16 is 1.00 times as fast here; 3.0 times as fast here as onnxruntime:cpu",
        ),
        (
            "",
            (3, 1, 3),
            BOTH,
            "openvino:bf16",
            "no GPU; onnxruntime:int8 is 1.00 times as fast here; 3.0 times as fast here as onnxruntime:cpu",
        ),
        (
            "",
            (3, 3, 3),
            ("onnxruntime:int8",),
            "onnxruntime:cpu",
            "no GPU; onnxruntime:int8 is 1.00 times as fast here",
        ),
        ("", (3, 1, 1), (), "onnxruntime:cpu", "no GPU"),
    ],
)
def test_bf16_comes_first_where_there_is_amx_and_fp32_last(
    rounded: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    flags: str,
    seconds: tuple[int, int, int],
    verified: tuple[str, ...],
    name: str,
    reason: str,
) -> None:
    (rounded / "cpuinfo").write_text(f"flags\t: fpu avx2 avx_vnni {flags}\n")
    pretend_bf16(monkeypatch)
    times = dict(zip(("onnxruntime:cpu", "openvino:bf16", "onnxruntime:int8"), seconds, strict=True))
    backend, why = choose(rounded, verified=verified, seconds=lambda backend: times[backend.name])
    assert backend.name == name and why.startswith(reason)


def test_a_system_that_does_not_tell_its_cpu_has_no_int8(rounded: Path) -> None:
    (rounded / "cpuinfo").unlink()
    backend, why = choose(rounded, verified=BOTH[1:])
    assert (backend.name, why) == ("onnxruntime:cpu", "no GPU; passed over int8 (BackendError)")


def test_an_engine_that_fails_while_it_is_timed_gives_way(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rounded / "cpuinfo").write_text("flags\t: avx512_vnni amx_bf16\n")
    pretend_bf16(monkeypatch)

    def seconds(backend: Backend) -> float:
        if backend.name == "openvino:bf16":
            raise RuntimeError("no kernel for a batch of 4")
        return 1.0 + (backend.name == "onnxruntime:cpu")

    backend, why = choose(rounded, verified=BOTH, seconds=seconds)
    assert backend.name == "onnxruntime:int8"
    assert why == "no GPU; passed over openvino (RuntimeError); 2.0 times as fast here as onnxruntime:cpu"


def test_a_cpu_without_bf16_takes_int8(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino  # noqa: PLC0415

    monkeypatch.setattr(openvino.Core, "get_property", lambda *given: [])
    backend, why = choose(rounded, verified=BOTH, seconds=lambda backend: 1.0 + (backend.name == "onnxruntime:cpu"))
    assert (backend.name, why) == ("onnxruntime:int8", "no GPU; 2.0 times as fast here as onnxruntime:cpu")
    assert choose(rounded, forced="int8")[1] == "settings ask for int8"


def test_a_cpu_without_vnni_takes_bf16(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rounded / "cpuinfo").write_text("flags\t: avx512_bf16\n")
    pretend_bf16(monkeypatch)
    backend, why = choose(rounded, verified=BOTH, seconds=lambda backend: 1.0 + (backend.name == "onnxruntime:cpu"))
    assert backend.name == "openvino:bf16"
    assert why == "no GPU; passed over int8 (BackendError); 2.0 times as fast here as onnxruntime:cpu"


def test_without_vnni_there_is_no_int8(rounded: Path) -> None:
    """Sums of products would saturate, and be other ones than those that were verified."""
    (rounded / "cpuinfo").write_text("flags\t: fpu avx2 avx512f\n")
    with pytest.raises(BackendError, match="no VNNI"):
        Int8Backend(rounded, threads=1)
    backend, why = choose(rounded, verified=("onnxruntime:int8",))
    assert (backend.name, why) == ("onnxruntime:cpu", "no GPU; passed over int8 (BackendError)")
