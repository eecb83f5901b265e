"""A trained model as TorchScript: traced once, at batch 2, for any batch and title length."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from training.models import ProductClassifier

INPUT_NAMES = ("image", "input_ids", "attention_mask", "present")


def example_inputs(image_size: int, tokens: int = 9) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs to trace with: batch 2, because attention traced at batch 1 can freeze its sizes."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randint(0, 256, (2, 3, image_size, image_size), dtype=torch.uint8, generator=generator),
        torch.randint(1, 5, (2, tokens), generator=generator),
        torch.ones(2, tokens, dtype=torch.int64),
        torch.ones(2, 2, dtype=torch.bool),
    )


def export_torchscript(model: ProductClassifier, path: Path, *, image_size: int) -> None:
    """Write ``model.pt``.

    Args:
        model: in evaluation mode, on the CPU.
        path: file to write.
        image_size: H = W of the graph's input.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # torch 2.14 deprecates TorchScript, and tracing BERT warns of constants that do not depend on the input.
        warnings.simplefilter("ignore", category=DeprecationWarning)
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced = torch.jit.trace(model, example_inputs(image_size), check_trace=False)  # type: ignore[no-untyped-call]
        traced.save(str(path))
