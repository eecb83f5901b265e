"""Traced and exported graphs: any batch, any title length, any device."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_tower import small_tower

from export.graphs.to_onnx import export_onnx
from export.graphs.torchscript import INPUT_NAMES, example_inputs, export_torchscript
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.engines.torchscript import TorchScriptEngine
from handlers.product_serving.titles.ngrams import PADDING
from training.models import MODELS, Encoders, ProductClassifier, build_head
from training.models.encoders import build_image_encoder, build_text_encoder
from training.models.lexical_encoder import LexicalEncoder

SIZE = 64


@pytest.fixture(scope="module", params=list(MODELS))
def classifier(request: pytest.FixtureRequest, tiny_bert: Path) -> ProductClassifier:
    torch.manual_seed(0)
    image = build_image_encoder("resnet18", "none") if request.param == "intermediate" else small_tower()
    text = build_text_encoder(str(tiny_bert))
    head = build_head(request.param, image_width=image.width, text_width=32, lexical_width=8, sizes=[4])
    towers = Encoders(image, text, LexicalEncoder(8))
    read = [tower if name in head.towers else None for name, tower in towers._asdict().items()]
    return ProductClassifier(read[0], read[1], head, read[2]).eval()


@pytest.fixture(scope="module")
def exported(classifier: ProductClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both graphs."""
    folder = tmp_path_factory.mktemp("exported")
    export_torchscript(classifier, folder / "model.pt", image_size=SIZE)
    export_onnx(classifier, folder / "model.onnx", image_size=SIZE, max_tokens=32)
    return folder


def requests(batch: int, tokens: int) -> tuple[torch.Tensor, ...]:
    """Inputs with padding, and rows without a picture or title."""
    inputs = [torch.cat([tensor] * 4)[:batch].clone() for tensor in example_inputs(SIZE, tokens)]
    inputs[2][0, tokens // 2 + 1 :] = 0
    inputs[3][0, 0] = False
    inputs[4][0, tokens // 2 :] = PADDING
    if batch > 1:
        inputs[3][-1, 1] = False
    return tuple(inputs)


def load(path: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path))


def test_graphs_agree_at_every_shape(classifier: ProductClassifier, exported: Path) -> None:
    traced = load(exported / "model.pt")
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    for batch, tokens in [(1, 2), (1, 9), (3, 5), (8, 32)]:
        inputs = requests(batch, tokens)
        with torch.inference_mode():
            eager = classifier(*inputs).numpy()
            np.testing.assert_allclose(traced(*inputs).numpy(), eager, atol=1e-5)
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True) if name in names}
        np.testing.assert_allclose(session.run(["logits"], feeds)[0], eager, atol=1e-4)


def test_the_parts_of_a_graph_give_its_answers(exported: Path) -> None:
    """Also for padded titles, and for a head that gets more rows than the towers."""
    assert [value.name for value in onnx.load(exported / "model.onnx").graph.output] == ["logits"]
    image, input_ids, attention_mask, present, ngrams = (tensor.numpy() for tensor in requests(3, 9))
    for engine in (
        TorchScriptEngine(exported / "model.pt", device="cpu", threads=1),
        OnnxEngine(exported / "model.onnx", threads=1),
    ):
        parts = engine.parts()
        for tokens, copies in [(9, 1), (5, 7)]:
            ids, mask = input_ids[:, :tokens], attention_mask[:, :tokens]
            features = [
                np.repeat(array, copies, 0) if len(array) else array
                for array in (parts.cells(image), parts.tokens(ids, mask))
            ]
            letters = parts.lexical(ngrams)
            logits, _ = parts.classify(
                *features,
                np.repeat(mask, copies, 0),
                np.repeat(present, copies, 0),
                np.repeat(letters, copies, 0) if len(letters) else letters,
            )
            expected = engine(Batch(image, ids, mask, present, ngrams))
            np.testing.assert_allclose(logits, np.repeat(expected, copies, 0), atol=1e-5)


def test_no_device_is_frozen_into_the_traced_graph(exported: Path) -> None:
    """A graph traced on a CPU must run on a GPU; a device constant would move a mask to the CPU."""
    traced = load(exported / "model.pt")
    for name in ("forward", "cells", "tokens", "classify"):
        assert not hasattr(traced, name) or '"cpu"' not in str(getattr(traced, name).inlined_graph)
