"""Export a trained model to TorchScript: traced once, at batch 2, for any batch and title length.

The file has more methods than ``forward``, on the same weights: ``cells``, ``tokens`` and ``lexical`` run the towers,
``classify`` the head, which also tells whether picture and title agree. The server calls these, so that it computes no
tower in vain. The head's input is cast to fp32, because
:mod:`handlers.product_serving.engines.half_precision` may cast the towers to half precision.
"""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.engines.torchscript import load_graph
from training.models import ProductClassifier

INPUT_NAMES = ("image", "input_ids", "attention_mask", "present", "ngrams")


def example_inputs(image_size: int, tokens: int = 9, ngrams: int = 20) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return example inputs for tracing: batch 2, because attention traced at batch 1 can freeze its sizes."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randint(0, 256, (2, 3, image_size, image_size), dtype=torch.uint8, generator=generator),
        torch.randint(1, 5, (2, tokens), generator=generator),
        torch.ones(2, tokens, dtype=torch.int64),
        torch.ones(2, 2, dtype=torch.bool),
        torch.randint(1, 5, (2, ngrams), generator=generator),
    )


class _ClassifierParts(nn.Module):
    """A classifier whose towers and head can be called separately."""

    def __init__(self, classifier: ProductClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, present: Tensor, ngrams: Tensor
    ) -> Tensor:
        cells, tokens, lexical = self.classifier.encode(image, input_ids, attention_mask, ngrams)
        return self.classify(cells.float(), tokens.float(), attention_mask, present, lexical.float())[0]

    def cells(self, image: Tensor) -> Tensor:
        assert self.classifier.image_encoder is not None
        cells: Tensor = self.classifier.image_encoder(image)
        return cells.float()

    def tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        assert self.classifier.text_encoder is not None
        tokens: Tensor = self.classifier.text_encoder(input_ids, attention_mask)
        return tokens.float()

    def lexical(self, ngrams: Tensor) -> Tensor:
        assert self.classifier.lexical_encoder is not None
        feature: Tensor = self.classifier.lexical_encoder(ngrams)
        return feature.float()

    def classify(
        self, cells: Tensor, tokens: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.classifier.classify(cells, tokens, attention_mask, present, lexical)


def export_torchscript(model: ProductClassifier, path: Path, *, image_size: int) -> None:
    """Write ``model.pt``.

    Args:
        model: in evaluation mode, on the CPU.
        path: file to write.
        image_size: H = W of the graph's input.
    """
    # A trace keeps the flags of its convolutions. PyTorch's defaults would let a GPU round them to TF32's 10 bits.
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.no_grad(), exact, warnings.catch_warnings():
        # torch 2.14 deprecates TorchScript, and tracing BERT warns of constants that do not depend on the input.
        warnings.simplefilter("ignore", category=DeprecationWarning)
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced = torch.jit.trace_module(_ClassifierParts(model).eval(), _examples(model, image_size), check_trace=False)  # type: ignore[no-untyped-call]
        # Into memory first: written to a file by PyTorch, a full disk would end the process (abort).
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
    path.write_bytes(buffer.getbuffer())


def _examples(model: ProductClassifier, image_size: int) -> dict[str, tuple[Tensor, ...]]:
    """Example inputs for each method; a missing tower has no method."""
    image, input_ids, attention_mask, present, ngrams = example_inputs(image_size)
    cells, tokens, lexical = model.encode(image, input_ids, attention_mask, ngrams)
    methods: dict[str, tuple[Tensor, ...]] = {
        "forward": (image, input_ids, attention_mask, present, ngrams),
        "classify": (cells, tokens, attention_mask, present, lexical),
    }
    if model.image_encoder is not None:
        methods["cells"] = (image,)
    if model.text_encoder is not None:
        methods["tokens"] = (input_ids, attention_mask)
    if model.lexical_encoder is not None:
        methods["lexical"] = (ngrams,)
    return methods


def whole_torchscript(path: Path) -> Callable[[Batch], NDArray[np.float32]]:
    """``forward`` of ``model.pt`` on the CPU, which runs all towers for each product."""
    graph = load_graph(path)

    def run(batch: Batch) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = graph(*(torch.from_numpy(array) for array in batch)).numpy()
        return logits

    return run
