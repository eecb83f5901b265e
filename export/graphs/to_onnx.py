"""Export a trained model to one ONNX file, with dynamic batch and title length.

The only output is ``logits``. Inner values have names too, and :mod:`export.graphs.parts` cuts the graph there: the
towers' outputs ``cells``, ``tokens`` and ``lexical``, a fusion's ``agreement`` of picture and title, and ``letters``,
the logits of the lexical model within a fusion.
"""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from export.graphs.parts import write_parts
from export.graphs.torchscript import INPUT_NAMES, example_inputs
from handlers.product_serving.titles.ngrams import MAX_NGRAMS
from training.models import ProductClassifier


class _WithInnerValues(nn.Module):
    """A classifier that also returns inner values, so that the exporter names them."""

    def __init__(self, classifier: ProductClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        towers = zip(("cells", "tokens", "lexical"), classifier.encoders, strict=True)
        self.values = [name for name, tower in towers if tower is not None] + ["agreement"]
        if answers_by_letters(classifier):
            self.values.append("letters")

    def forward(
        self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, present: Tensor, ngrams: Tensor
    ) -> tuple[Tensor, ...]:
        cells, tokens, lexical = self.classifier.encode(image, input_ids, attention_mask, ngrams)
        logits, agreement = self.classifier.classify(cells, tokens, attention_mask, present, lexical)
        named = {"cells": cells, "tokens": tokens, "lexical": lexical, "agreement": agreement}
        if "letters" in self.values:
            named["letters"] = self.classifier.letters(lexical)
        return logits, *(named[name] for name in self.values)


def answers_by_letters(model: ProductClassifier) -> bool:
    """True for a fusion with the lexical model, which can answer before the other towers."""
    return model.lexical_encoder is not None and hasattr(model.head, "heads")


def export_onnx(model: ProductClassifier, path: Path, *, image_size: int, max_tokens: int) -> None:
    """Write ``model.onnx`` and its parts; inputs that the model does not read are missing or unused in the graph.

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
    exported = _WithInnerValues(model).eval()
    logging.disable(logging.WARNING)  # the exporter's messages about constant folding
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                exported,
                example_inputs(image_size),
                dynamo=True,
                input_names=INPUT_NAMES,
                output_names=["logits", *exported.values],
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
    write_parts(path)
