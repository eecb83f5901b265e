"""The engines agree at every shape, load no other engine's library, and use the given number of threads."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from export.graphs.shared_weights import share_weights
from handlers.product_serving.engines.engine import Batch, EngineError
from handlers.product_serving.engines.int8 import INT8_GRAPH, Int8Engine
from handlers.product_serving.engines.onnx import OnnxEngine, OnnxGraph, part_files
from handlers.product_serving.engines.openvino import OpenVinoEngine
from handlers.product_serving.engines.torchscript import TorchScriptEngine

ROOT = Path(__file__).parents[3]
TWO_OF_OPENVINO = """
import os, signal, sys
from pathlib import Path
import openvino
from handlers.product_serving.engines.openvino import OpenVinoEngine
openvino.Core.get_property = lambda *given: ["BF16"]  # a CPU without bf16 computes the same in fp32
first, second = (OpenVinoEngine(Path(sys.argv[1]), threads=1) for _ in range(2))
del first
del second
signal.signal(signal.SIGTERM, lambda *given: print("received"))
os.kill(os.getpid(), signal.SIGTERM)
"""


def batch(products: int, tokens: int) -> Batch:
    random = np.random.default_rng(products * 100 + tokens)
    mask = np.ones((products, tokens), dtype=np.int64)
    mask[0, tokens // 2 + 1 :] = 0
    present = np.ones((products, 2), dtype=np.bool_)
    present[0, 0] = present[-1, 1] = False
    image = random.integers(0, 256, (products, 3, 32, 32), dtype=np.uint8)
    ngrams = random.integers(0, 100, (products, 3 * tokens // 2))
    return Batch(image, random.integers(0, 20, (products, tokens)), mask, present, ngrams)


@pytest.fixture
def openvino(graphs: Path) -> OpenVinoEngine:
    try:
        return OpenVinoEngine(graphs / "model.onnx", threads=1)
    except EngineError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("products", "tokens"), [(1, 2), (1, 16), (3, 5), (8, 9)])
def test_the_engines_agree(graphs: Path, products: int, tokens: int) -> None:
    onnx = OnnxEngine(graphs / "model.onnx", threads=1)
    torchscript = TorchScriptEngine(graphs / "model.pt", device="cpu", threads=1)
    one, other = onnx(batch(products, tokens)), torchscript(batch(products, tokens))
    assert all(logits.shape == (products, 4) and logits.dtype == np.float32 for logits in (one, other))
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_agrees(graphs: Path) -> None:
    onnx = OnnxEngine(graphs / "model.onnx", threads=1)
    cuda = TorchScriptEngine(graphs / "model.pt", device="cuda:0", threads=1)
    np.testing.assert_allclose(cuda(batch(4, 7)), onnx(batch(4, 7)), atol=1e-4)


@pytest.mark.parametrize("kind", [OnnxEngine, OpenVinoEngine, Int8Engine])
def test_an_explanation_needs_no_file_that_may_be_deleted(
    graphs: Path, tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archives are unpacked into a temporary folder, from which many systems delete old files."""
    monkeypatch.setattr("handlers.product_serving.engines.int8.require_vnni", lambda: None)
    unpacked = tmp_path / "unpacked"
    shutil.copytree(graphs, unpacked)
    for part in part_files(unpacked / "model.onnx").values():
        share_weights(part, unpacked / "model.pt")
    shutil.copy(unpacked / "model.cells.onnx", (unpacked / INT8_GRAPH).with_suffix(".cells.onnx"))
    try:
        engine = kind(unpacked if kind is Int8Engine else unpacked / "model.onnx", threads=1)
    except EngineError as error:
        pytest.skip(str(error))
    expected = OnnxEngine(graphs / "model.onnx", threads=1).parts()
    shutil.rmtree(unpacked)
    one = batch(2, 5)
    np.testing.assert_allclose(engine.parts().cells(one.image), expected.cells(one.image), atol=1e-6)


def test_inputs_that_the_graph_lacks_are_not_fed(tmp_path: Path) -> None:
    """The exporter drops inputs that a model of one modality does not read."""
    node = onnx.helper.make_node("Cast", ["present"], ["logits"], to=onnx.TensorProto.FLOAT)
    inputs = [onnx.helper.make_tensor_value_info("present", onnx.TensorProto.BOOL, ["B", 2])]
    outputs = [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["B", 2])]
    graph = onnx.helper.make_graph([node], "present", inputs, outputs)
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "model.onnx")
    assert OnnxGraph(tmp_path / "model.onnx", threads=1)(batch(2, 3)).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("engine", "absent"),
    [("onnx", ("torch", "transformers", "pandas", "openvino")), ("torchscript", ("onnxruntime", "openvino"))],
)
def test_an_engine_does_not_load_the_other(graphs: Path, engine: str, absent: tuple[str, ...]) -> None:
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "import handlers.product_handler\n"
        "assert not {'torch', 'onnxruntime', 'openvino'} & set(sys.modules), 'imported at the top'\n"
        "from handlers.product_serving.engines.choice import EngineChoice\n"
        "from handlers.product_serving.engines.table import LoadOptions\n"
        "options, engine = LoadOptions(pathlib.Path(sys.argv[2]), None, threads=1), sys.argv[3]\n"
        "EngineChoice(options, check=lambda engine: None, measure=None).choose(engine)\n"
        "assert not set(sys.argv[4:]) & set(sys.modules), set(sys.argv[4:]) & set(sys.modules)\n"
    )
    command = [sys.executable, "-I", "-c", program, str(ROOT), str(graphs), engine, *absent]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("products", "tokens"), [(1, 2), (3, 5), (8, 16)])
def test_bf16_is_near_and_its_answers_do_not_depend_on_the_batch(
    graphs: Path, openvino: OpenVinoEngine, products: int, tokens: int
) -> None:
    together = batch(products, tokens)
    exact, fast = OnnxEngine(graphs / "model.onnx", threads=1)(together), openvino(together)
    assert fast.dtype == np.float32 and fast.shape == exact.shape
    np.testing.assert_allclose(fast, exact, atol=0.02 * np.abs(exact).max())
    alone = [openvino(Batch(*(value[row : row + 1] for value in together))) for row in range(products)]
    assert (np.concatenate(alone) == fast).all()


def test_titles_of_nearby_lengths_share_a_shape(openvino: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, towers = [], openvino._towers

    def recorded(batch: Batch) -> Any:
        shapes.append((batch.input_ids.shape, batch.attention_mask.shape))
        return towers(batch)

    monkeypatch.setattr(openvino, "_towers", recorded)
    for tokens in range(5, 10):
        openvino(batch(2, tokens))
    assert shapes == [((2, 8), (2, 8))] * 4 + [((2, 12), (2, 12))]


def test_an_answer_outlives_the_next_one(openvino: OpenVinoEngine) -> None:
    first = openvino(batch(2, 4))
    kept = first.copy()
    openvino(batch(3, 4))
    assert (first == kept).all()


def test_the_session_gets_its_threads(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime  # noqa: PLC0415 - the module that the engine imports when it is built

    made: list[Any] = []
    session = onnxruntime.InferenceSession

    def record(path: str, options: Any, **keywords: Any) -> Any:
        made.append((options, keywords))
        return session(path, options, **keywords)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    OnnxEngine(graphs / "model.onnx", threads=3)
    assert len(made) == 4  # three towers and the head
    options, keywords = made[0]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert keywords["providers"] == ["CPUExecutionProvider"]


@pytest.fixture
def keep_threads() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_torch_gets_its_threads(graphs: Path, keep_threads: Callable[[], None]) -> None:
    TorchScriptEngine(graphs / "model.pt", device="cpu", threads=2)
    assert torch.get_num_threads() == 2


def test_a_signal_reaches_a_process_that_has_dropped_its_engines(graphs: Path) -> None:
    """SIGTERM stops a worker: the signal's handler must run, without a segmentation fault."""
    run = subprocess.run(
        [sys.executable, "-c", TWO_OF_OPENVINO, str(graphs / "model.onnx")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "received\n"), run.stderr
