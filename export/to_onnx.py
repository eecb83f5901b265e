"""Export a trained model to one ONNX file, with dynamic batch and title length.

The only output is ``logits``. The towers' outputs are inner values named ``cells``, ``tokens`` and ``lexical``;
explanations cut the graph there.
"""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from export.torchscript import INPUT_NAMES, example_inputs
from handlers.product_serving.titles.ngrams import MAX_NGRAMS
from training.models import ProductClassifier


class _WithFeatures(nn.Module):
    """A classifier that also returns its towers' outputs, so that the exporter names them."""

    def __init__(self, classifier: ProductClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        towers = zip(("cells", "tokens", "lexical"), classifier.encoders, strict=True)
        self.features = [name for name, tower in towers if tower is not None]

    def forward(
        self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, present: Tensor, ngrams: Tensor
    ) -> tuple[Tensor, ...]:
        cells, tokens, lexical = self.classifier.encode(image, input_ids, attention_mask, ngrams)
        logits = self.classifier.head(cells, tokens, attention_mask, present, lexical).float()
        named = {"cells": cells, "tokens": tokens, "lexical": lexical}
        return logits, *(named[name] for name in self.features)


def export_onnx(model: ProductClassifier, path: Path, *, image_size: int, max_tokens: int) -> None:
    """Write ``model.onnx``; inputs that the model does not read are missing or unused in the graph.

    Args:
        model: in evaluation mode, on the CPU.
        path: file to write.
        image_size: H = W of the graph's input.
        max_tokens: length of the longest title.
    """
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=max_tokens)
    ngrams = torch.export.Dim("ngrams", max=MAX_NGRAMS)
    unread = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    title = unread if model.text_encoder is None else {0: batch, 1: tokens}
    letters = unread if model.lexical_encoder is None else {0: batch, 1: ngrams}
    exported = _WithFeatures(model).eval()
    logging.disable(logging.WARNING)  # the exporter's messages about constant folding
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                exported,
                example_inputs(image_size),
                dynamo=True,
                input_names=INPUT_NAMES,
                output_names=["logits", *exported.features],
                dynamic_shapes=({0: batch}, title, title, {0: batch}, letters),
                verbose=False,
            )
    finally:
        logging.disable(logging.NOTSET)
    assert program is not None
    graph = program.model_proto
    graph.graph.value_info.extend(graph.graph.output[1:])  # keep them as inner values of the graph
    del graph.graph.output[1:]
    for node in graph.graph.node:
        del node.metadata_props[:]  # Python source locations: most of the file, and they name local paths
    onnx.save(graph, str(path))
    onnx.checker.check_model(str(path), full_check=True)
