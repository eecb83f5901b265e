"""Traced and exported graphs: any batch, any title length, any device."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export.to_onnx import export_onnx
from export.torchscript import INPUT_NAMES, example_inputs, export_torchscript
from training.encoders import build_image_encoder, build_text_encoder
from training.models import MODELS, ProductClassifier, build_head

SIZE = 64


@pytest.fixture(scope="module", params=list(MODELS))
def classifier(request: pytest.FixtureRequest, tiny_bert: Path) -> ProductClassifier:
    torch.manual_seed(0)
    image = None if request.param == "text" else build_image_encoder("resnet18", "none")
    text = None if request.param == "image" else build_text_encoder(str(tiny_bert))
    head = build_head(request.param, image_width=512, text_width=32, classes=4)
    return ProductClassifier(image, text, head).eval()


def requests(batch: int, tokens: int) -> tuple[torch.Tensor, ...]:
    """Inputs with padding, and rows that lack a picture or a title."""
    inputs = [torch.cat([tensor] * 4)[:batch].clone() for tensor in example_inputs(SIZE, tokens)]
    inputs[2][0, tokens // 2 + 1 :] = 0
    inputs[3][0, 0] = False
    if batch > 1:
        inputs[3][-1, 1] = False
    return tuple(inputs)


def load(path: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path))


def test_graphs_agree_at_every_shape(classifier: ProductClassifier, tmp_path: Path) -> None:
    export_torchscript(classifier, tmp_path / "model.pt", image_size=SIZE)
    export_onnx(classifier, tmp_path / "model.onnx", image_size=SIZE, max_tokens=32)
    traced = load(tmp_path / "model.pt")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    for batch, tokens in [(1, 2), (1, 9), (3, 5), (8, 32)]:
        inputs = requests(batch, tokens)
        with torch.inference_mode():
            eager = classifier(*inputs).numpy()
            np.testing.assert_allclose(traced(*inputs).numpy(), eager, atol=1e-5)
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True) if name in names}
        np.testing.assert_allclose(session.run(["logits"], feeds)[0], eager, atol=1e-4)


def test_no_device_is_frozen_into_the_traced_graph(classifier: ProductClassifier, tmp_path: Path) -> None:
    """A graph traced on a CPU has to run on a GPU: a device constant would send a mask back to the CPU."""
    export_torchscript(classifier, tmp_path / "model.pt", image_size=SIZE)
    assert '"cpu"' not in str(load(tmp_path / "model.pt").inlined_graph)
