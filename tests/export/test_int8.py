"""The int8 graph: close to fp32, independent of the batch, and without a second copy of the weights."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_tower import CHANNELS, CONVOLUTIONS, small_tower

from export.build import _drop_unusable_int8, _require_forced
from export.graphs.inference_form import inference_form
from export.graphs.int8 import EXACT_CONVOLUTIONS, export_int8
from export.graphs.to_onnx import export_onnx
from export.graphs.torchscript import example_inputs, export_torchscript
from export.verify import Parity, VerificationError
from handlers.product_serving.engines.engine import EngineError
from handlers.product_serving.engines.int8 import INT8_GRAPH, Int8Engine
from handlers.product_serving.engines.onnx import OnnxEngine, part_files
from handlers.product_serving.preprocessing import Product, collate
from training.models import ProductClassifier, build_head
from training.models.encoders import build_text_encoder
from training.models.lexical_encoder import LexicalEncoder

SIZE = 64


@pytest.fixture(scope="module")
def products() -> list[Product]:
    random = np.random.default_rng(0)
    titles = [random.integers(5, 60, length) for length in (3, 9, 4, 12, 7, 3, 5, 6)]
    return [
        Product(
            random.integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8),
            ids,
            np.ones_like(ids),
            np.array([row != 1, row != 2]),
            random.integers(1, 100, 20),
        )
        for row, ids in enumerate(titles)
    ]


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, products: list[Product], tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    head = build_head("intermediate", image_width=CHANNELS, text_width=32, lexical_width=8, sizes=[4])
    lexical = LexicalEncoder(8)
    lexical.round_weights()
    model = ProductClassifier(small_tower(), build_text_encoder(str(tiny_bert)), head, lexical).eval()
    model = inference_form(model, example_inputs(SIZE))
    folder = tmp_path_factory.mktemp("int8")
    export_torchscript(model, folder / "model.pt", image_size=SIZE)
    export_onnx(model, folder / "model.onnx", image_size=SIZE, max_tokens=16)
    export_int8(folder, products)
    return folder


@pytest.fixture
def int8(folder: Path) -> Int8Engine:
    try:
        return Int8Engine(folder, threads=1)
    except EngineError as error:
        pytest.skip(str(error))


def test_it_is_near(folder: Path, int8: Int8Engine, products: list[Product]) -> None:
    exact, rounded = OnnxEngine(folder / "model.onnx", threads=1)(collate(products)), int8(collate(products))
    assert rounded.shape == exact.shape and rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()


def test_an_answer_does_not_depend_on_the_batch_or_padding(int8: Int8Engine, products: list[Product]) -> None:
    together = int8(collate(products))
    alone = np.concatenate([int8(collate([product])) for product in products])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    batch = collate(products[:2])
    ids, mask = (np.pad(array, ((0, 0), (0, 5))) for array in (batch.input_ids, batch.attention_mask))
    np.testing.assert_allclose(int8(batch._replace(input_ids=ids, attention_mask=mask)), together[:2], atol=1e-5)


def test_the_right_operations_are_quantised(folder: Path) -> None:
    cells, tokens = (part_files(folder / INT8_GRAPH)[name] for name in ("cells", "tokens"))
    graph = onnx.load(str(cells), load_external_data=False).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    rounded = [made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    assert rounded == [False] * EXACT_CONVOLUTIONS + [True] * (CONVOLUTIONS - EXACT_CONVOLUTIONS)
    # Query, key, value, output and two of the feed-forward part; query, key and value read the same rounded rows.
    graph = onnx.load(str(tokens), load_external_data=False).graph
    products = [node for node in graph.node if node.op_type == "MatMulInteger"]
    assert (len(products), len({node.input[0] for node in products})) == (6, 4)


@pytest.mark.parametrize("part", ["cells", "tokens"])
def test_the_weights_are_not_stored_again(folder: Path, part: str) -> None:
    graph = onnx.load(str(part_files(folder / INT8_GRAPH)[part]), load_external_data=False).graph
    shared = [tensor for tensor in graph.initializer if tensor.external_data]
    own = [tensor for tensor in graph.initializer if not tensor.external_data and len(tensor.raw_data) >= 2048]
    assert shared and not [tensor.name for tensor in own if tensor.data_type == onnx.TensorProto.INT8]


def test_explanations_read_the_exact_graph(folder: Path, int8: Int8Engine, products: list[Product]) -> None:
    batch = collate(products)
    parts = int8.parts()
    tokens = parts.tokens(batch.input_ids, batch.attention_mask)
    letters = parts.lexical(batch.ngrams)
    logits, _ = parts.classify(parts.cells(batch.image), tokens, batch.attention_mask, batch.present, letters)
    np.testing.assert_allclose(logits, OnnxEngine(folder / "model.onnx", threads=1)(batch), atol=1e-5)


def alike(share: float) -> dict[str, dict[str, float]]:
    return {"label": {"same_class": share, "accuracy": 0.95, "eager_accuracy": 0.95}}


def test_an_int8_graph_that_fails_the_gate_is_left_out(tmp_path: Path) -> None:
    graph = tmp_path / "model.int8.cells.onnx"
    good = Parity("int8", 0.3, 10, 1000, (), alike(0.996))
    bad = dataclasses.replace(good, attributes=alike(0.98))
    graph.touch()
    _drop_unusable_int8(tmp_path, good)
    assert graph.exists()
    _drop_unusable_int8(tmp_path, bad)
    assert not graph.exists()


@pytest.mark.parametrize("engine", ["int8", "openvino"])
def test_a_fast_engine_that_fails_the_gate_cannot_be_forced(engine: str) -> None:
    good = Parity(engine, 0.3, 10, 1000, (), alike(0.996))
    bad = dataclasses.replace(good, attributes=alike(0.98))
    _require_forced(engine, {engine: good})
    _require_forced("auto", {engine: bad})
    with pytest.raises(VerificationError, match=r"98\.0% alike.*--engine auto"):
        _require_forced(engine, {engine: bad})
    with pytest.raises(VerificationError, match=f"{engine} cannot be verified here"):
        _require_forced(engine, {})
