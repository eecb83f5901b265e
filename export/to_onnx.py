"""A trained model as one ONNX file, with dynamic batch and title length."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch

from export.torchscript import INPUT_NAMES, example_inputs
from training.models import ProductClassifier


def export_onnx(model: ProductClassifier, path: Path, *, image_size: int, max_tokens: int) -> None:
    """Write ``model.onnx``; inputs that the model does not read stay out of the graph or unused in it.

    Args:
        model: in evaluation mode, on the CPU.
        path: file to write.
        image_size: H = W of the graph's input.
        max_tokens: longest title.
    """
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=max_tokens)
    text = {0: batch, 1: tokens}
    unread_text = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    title = text if model.text_encoder is not None else unread_text
    with torch.no_grad(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            example_inputs(image_size),
            dynamo=True,
            input_names=INPUT_NAMES,
            output_names=["logits"],
            dynamic_shapes=({0: batch}, title, title, {0: batch}),
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path), full_check=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the exporter's notes on constant folding."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
