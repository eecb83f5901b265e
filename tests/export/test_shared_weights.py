"""Both graphs of an archive share one copy of the weights; the inference form makes this possible."""

from pathlib import Path

import onnx
import pytest
import torch
from small_tower import REAL_TOWERS
from torch import nn

from export.graphs.inference_form import inference_form
from export.graphs.shared_weights import share_weights
from export.graphs.to_onnx import export_onnx
from export.graphs.torchscript import example_inputs, export_torchscript
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.engines.onnx import OnnxEngine, OnnxGraph, part_files
from training.models import ProductClassifier, build_head
from training.models.encoders import build_image_encoder, build_text_encoder
from training.models.lexical_encoder import LexicalEncoder

SIZE = 64


@pytest.fixture(scope="module", params=REAL_TOWERS)
def classifier(request: pytest.FixtureRequest, tiny_bert: Path) -> ProductClassifier:
    """A model whose batch norms have trained statistics."""
    torch.manual_seed(0)
    image = build_image_encoder(request.param, "none").train()
    for _ in range(3):
        image(torch.randint(0, 256, (4, 3, SIZE, SIZE), dtype=torch.uint8))
    head = build_head("intermediate", image_width=image.width, text_width=32, lexical_width=8, sizes=[4])
    lexical = LexicalEncoder(8)
    lexical.round_weights()
    return ProductClassifier(image, build_text_encoder(str(tiny_bert)), head, lexical).eval()


@pytest.fixture(scope="module")
def folder(classifier: ProductClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    deployed = inference_form(classifier, example_inputs(SIZE))
    export_torchscript(deployed, folder / "model.pt", image_size=SIZE)
    export_onnx(deployed, folder / "model.onnx", image_size=SIZE, max_tokens=32)
    return folder


def test_the_form_has_no_batch_norm_and_answers_alike(classifier: ProductClassifier) -> None:
    deployed, inputs = inference_form(classifier, example_inputs(SIZE)), example_inputs(SIZE, tokens=5)
    assert not [module for module in deployed.modules() if isinstance(module, nn.BatchNorm2d)]
    assert any(isinstance(module, nn.BatchNorm2d) for module in classifier.modules()), "the model itself is left alone"
    with torch.no_grad():
        torch.testing.assert_close(deployed(*inputs), classifier(*inputs), rtol=1e-4, atol=1e-4)


def test_the_weights_are_stored_once(classifier: ProductClassifier, folder: Path) -> None:
    inputs = example_inputs(SIZE, tokens=5)
    batch = Batch(*(value.numpy() for value in inputs))
    before = OnnxGraph(folder / "model.onnx", threads=1)(batch)
    whole = (folder / "model.onnx").stat().st_size
    assert share_weights(folder / "model.onnx", folder / "model.pt") > 0.9
    assert (folder / "model.onnx").stat().st_size < 0.1 * whole
    onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
    after = OnnxGraph(folder / "model.onnx", threads=1)
    assert (after(batch) == before).all()
    for part in part_files(folder / "model.onnx").values():
        share_weights(part, folder / "model.pt")
    parts = OnnxEngine(folder / "model.onnx", threads=1).parts()
    tokens = parts.tokens(batch.input_ids, batch.attention_mask)
    letters = parts.lexical(batch.ngrams)
    logits, _ = parts.classify(parts.cells(batch.image), tokens, batch.attention_mask, batch.present, letters)
    torch.testing.assert_close(logits, before, rtol=1e-5, atol=1e-5)
