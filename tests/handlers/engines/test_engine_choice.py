"""The choice of an engine, by machine, verification and measurement, and its reason."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from handlers.product_serving.engines import int8 as int8_engine
from handlers.product_serving.engines.choice import ChosenEngine, EngineChoice
from handlers.product_serving.engines.engine import Engine, EngineError
from handlers.product_serving.engines.int8 import INT8_GRAPH, Int8Engine
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.engines.openvino import OpenVinoEngine
from handlers.product_serving.engines.table import LoadOptions
from handlers.product_serving.engines.torchscript import TorchScriptEngine
from handlers.product_serving.settings import Attribute, ProductSettings

BOTH = ("openvino", "int8")
SIZES = ProductSettings(
    model="tiny", attributes=(Attribute(name="label", labels=("a",)),), image_size=32, max_tokens=16, lexical=True
)


def check(engine: Engine) -> None:
    """Accept any answer."""


def choose(
    folder: Path,
    *,
    wanted: str = "auto",
    gpu: int | None = None,
    verified: tuple[str, ...] = (),
    check: Callable[[Engine], None] = check,
    measure: Callable[[Engine], float] = lambda engine: 1.0,
) -> ChosenEngine:
    return EngineChoice(LoadOptions(folder, SIZES, threads=1, gpu=gpu), check=check, measure=measure).choose(
        wanted, verified=verified
    )


def twice_the_reference(engine: Engine) -> float:
    """Times, in seconds: every fast engine is twice as fast as the reference."""
    return 1.0 + (type(engine) is OnnxEngine)


@pytest.mark.parametrize(
    ("wanted", "gpu", "name", "reason"),
    [
        ("auto", None, "onnx", "no GPU"),
        ("onnx", None, "onnx", "settings ask for onnx"),
        ("onnx", 0, "onnx", "settings ask for onnx"),
        ("torchscript", None, "torchscript", "settings ask for torchscript"),
        ("torchscript", 0, "torchscript", "settings ask for torchscript"),
    ],
)
def test_the_choice_and_its_reason(graphs: Path, wanted: str, gpu: int | None, name: str, reason: str) -> None:
    chosen, _, why = choose(graphs, wanted=wanted, gpu=gpu)
    assert (chosen, why) == (name, reason)


def test_an_engine_that_is_not_accepted_gives_way(graphs: Path, caplog: pytest.LogCaptureFixture) -> None:
    def only_torchscript(engine: Engine) -> None:
        if not isinstance(engine, TorchScriptEngine):
            raise ValueError("golden product 1: scores differ")

    chosen, _, reason = choose(graphs, check=only_torchscript)
    assert (chosen, reason) == ("torchscript", "no GPU; passed over onnx (ValueError)")
    assert caplog.messages == ["engine onnx is passed over: golden product 1: scores differ"]


def test_a_graph_that_cannot_be_loaded_gives_way(graphs: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes((graphs / "model.pt").read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"broken")
    chosen, _, reason = choose(tmp_path)
    assert chosen == "torchscript" and "passed over onnx" in reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_does_not_work_gives_way(graphs: Path) -> None:
    chosen, _, reason = choose(graphs, gpu=0)
    assert chosen == "onnx" and reason.startswith("GPU 0 was given; passed over cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_is_preferred(graphs: Path) -> None:
    chosen, _, reason = choose(graphs, gpu=0)
    assert (chosen, reason) == ("cuda", "GPU 0 was given")


def test_a_forced_engine_has_no_fallback(graphs: Path) -> None:
    def refuse(engine: Engine) -> None:
        raise ValueError("no")

    with pytest.raises(EngineError, match=r"^no engine gives the expected answers: onnx: no$"):
        choose(graphs, wanted="onnx", check=refuse)
    with pytest.raises(EngineError, match="onnx: no; torchscript: no"):
        choose(graphs, check=refuse)


@pytest.mark.parametrize(
    ("gain", "verified", "name", "reason"),
    [
        (2.0, ("openvino",), "openvino", "no GPU; 2.0 times as fast here as onnx"),
        (1.05, ("openvino",), "onnx", "no GPU; openvino is 1.05 times as fast here"),
        (2.0, (), "onnx", "no GPU"),
    ],
)
def test_a_verified_engine_that_is_faster_answers(
    graphs: Path, monkeypatch: pytest.MonkeyPatch, *, gain: float, verified: tuple[str, ...], name: str, reason: str
) -> None:
    fake_bf16(monkeypatch)

    def seconds(engine: Engine) -> float:
        return gain if type(engine) is OnnxEngine else 1.0

    chosen, _, why = choose(graphs, verified=verified, measure=seconds)
    assert (chosen, why) == (name, reason)


def fake_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without bf16 computes the same in fp32."""
    import openvino  # noqa: PLC0415

    monkeypatch.setattr(openvino.Core, "get_property", lambda *given: ["BF16"])


@pytest.mark.parametrize("fault", ["no bf16", "not installed", "wrong answers"])
def test_after_a_fast_engine_fails_the_reference_answers(
    graphs: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    import openvino  # noqa: PLC0415

    def exact_only(engine: Engine) -> None:
        if fault == "wrong answers" and type(engine) is not OnnxEngine:
            raise ValueError("golden product 1: scores differ")

    monkeypatch.setattr(openvino.Core, "get_property", lambda *given: [] if fault == "no bf16" else ["BF16"])
    if fault == "not installed":
        monkeypatch.setitem(sys.modules, "openvino", None)
    error = {"no bf16": "EngineError", "not installed": "ModuleNotFoundError", "wrong answers": "ValueError"}[fault]
    chosen, _, why = choose(graphs, verified=("openvino",), check=exact_only)
    assert (chosen, why) == ("onnx", f"no GPU; passed over openvino ({error})")


@pytest.fixture
def rounded(graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with towers in int8 (copies of the fp32 ones), and a CPU whose flags list VNNI."""
    for file in graphs.iterdir():
        shutil.copy(file, tmp_path)
    for name in ("cells", "tokens"):
        shutil.copy(graphs / f"model.{name}.onnx", (tmp_path / INT8_GRAPH).with_suffix(f".{name}.onnx"))
    (tmp_path / "cpuinfo").write_text("flags\t: fpu avx2 avx_vnni\n")
    monkeypatch.setattr(int8_engine, "CPU_INFO", tmp_path / "cpuinfo")
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "seconds", "verified", "name", "reason"),
    [
        ("amx_bf16", (3, 1, 1), BOTH, "openvino", "no GPU; 3.0 times as fast"),
        ("", (3, 1, 1), BOTH, "int8", "no GPU; 3.0 times as fast"),
        ("amx_bf16", (3, 1, 1), ("int8",), "int8", "no GPU; 3.0 times as fast"),
        ("", (3, 1, 1), ("openvino",), "openvino", "no GPU; 3.0 times as fast"),
        (
            "amx_bf16",
            (3, 3, 1),
            BOTH,
            "int8",
            "no GPU; openvino is 1.00 times as fast here; 3.0 times as fast here as onnx",
        ),
        (
            "",
            (3, 1, 3),
            BOTH,
            "openvino",
            "no GPU; int8 is 1.00 times as fast here; 3.0 times as fast here as onnx",
        ),
        (
            "",
            (3, 3, 3),
            ("int8",),
            "onnx",
            "no GPU; int8 is 1.00 times as fast here",
        ),
        ("", (3, 1, 1), (), "onnx", "no GPU"),
    ],
)
def test_bf16_comes_first_with_amx_and_the_reference_last(
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
    fake_bf16(monkeypatch)
    times = dict(zip((OnnxEngine, OpenVinoEngine, Int8Engine), seconds, strict=True))
    chosen, _, why = choose(rounded, verified=verified, measure=lambda engine: times[type(engine)])
    assert chosen == name and why.startswith(reason)


def test_a_system_without_cpuinfo_has_no_int8(rounded: Path) -> None:
    (rounded / "cpuinfo").unlink()
    chosen, _, why = choose(rounded, verified=BOTH[1:])
    assert (chosen, why) == ("onnx", "no GPU; passed over int8 (EngineError)")


def test_an_engine_that_fails_while_it_is_timed_gives_way(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rounded / "cpuinfo").write_text("flags\t: avx512_vnni amx_bf16\n")
    fake_bf16(monkeypatch)

    def seconds(engine: Engine) -> float:
        if isinstance(engine, OpenVinoEngine):
            raise RuntimeError("no kernel for a batch of 4")
        return twice_the_reference(engine)

    chosen, _, why = choose(rounded, verified=BOTH, measure=seconds)
    assert chosen == "int8"
    assert why == "no GPU; passed over openvino (RuntimeError); 2.0 times as fast here as onnx"


def test_a_cpu_without_bf16_takes_int8(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino  # noqa: PLC0415

    monkeypatch.setattr(openvino.Core, "get_property", lambda *given: [])
    chosen, _, why = choose(rounded, verified=BOTH, measure=twice_the_reference)
    assert (chosen, why) == ("int8", "no GPU; 2.0 times as fast here as onnx")
    assert choose(rounded, wanted="int8").reason == "settings ask for int8"


def test_a_cpu_without_vnni_takes_bf16(rounded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rounded / "cpuinfo").write_text("flags\t: avx512_bf16\n")
    fake_bf16(monkeypatch)
    chosen, _, why = choose(rounded, verified=BOTH, measure=twice_the_reference)
    assert chosen == "openvino"
    assert why == "no GPU; passed over int8 (EngineError); 2.0 times as fast here as onnx"


def test_without_vnni_there_is_no_int8(rounded: Path) -> None:
    """Sums of products would saturate and differ from the verified ones."""
    (rounded / "cpuinfo").write_text("flags\t: fpu avx2 avx512f\n")
    with pytest.raises(EngineError, match="no VNNI"):
        Int8Engine(rounded, threads=1)
    chosen, _, why = choose(rounded, verified=("int8",))
    assert (chosen, why) == ("onnx", "no GPU; passed over int8 (EngineError)")
