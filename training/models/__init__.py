"""The five classifiers: two encoders and a head behind one graph signature; they differ in the head.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, A attributes, C classes of all attributes,
concatenated.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.models.early import EarlyFusion
from training.models.encoders import ImageEncoder, TextEncoder
from training.models.gated import GatedFusion
from training.models.head import Head
from training.models.image import ImageHead
from training.models.intermediate import IntermediateFusion
from training.models.late import LateFusion
from training.models.single_key import SingleKeyFusion
from training.models.text import TextHead

MODELS: dict[str, type[Head]] = {
    "image": ImageHead,
    "text": TextHead,
    "early": EarlyFusion,
    "intermediate": IntermediateFusion,
    "late": LateFusion,
}

ABLATIONS: dict[str, type[Head]] = {
    "gated": GatedFusion,
    "single_key": SingleKeyFusion,
}

HEADS = MODELS | ABLATIONS


class ProductClassifier(nn.Module):
    """Encoders and a head behind the graph signature that PyTorch, TorchScript and ONNX share.

    Args:
        image_encoder: (B, 3, H, W) uint8 -> (B, N, D), or None for a head that reads no picture.
        text_encoder: (B, T) ids and mask -> (B, T, D), or None for a head that reads no title.
        head: (image (B, N, D), text (B, T, D), attention_mask (B, T), present (B, 2)) -> logits (B, C).
    """

    def __init__(self, image_encoder: ImageEncoder | None, text_encoder: TextEncoder | None, head: Head) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.head = head

    def forward(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """(B, 3, H, W) uint8, (B, T) int64, (B, T) int64, (B, 2) bool -> logits (B, C) float32."""
        cells, tokens = self.encode(image, input_ids, attention_mask)
        logits: Tensor = self.head(cells, tokens, attention_mask, present)
        return logits.float()

    def encode(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The features (B, N, D) and (B, T, D) for the head; an empty tensor for a missing encoder."""
        nothing = torch.empty(0)
        cells = nothing if self.image_encoder is None else self.image_encoder(image)
        tokens = nothing if self.text_encoder is None else self.text_encoder(input_ids, attention_mask)
        return cells, tokens


def build_classifier(
    name: str, image_encoder: ImageEncoder | None, text_encoder: TextEncoder | None, *, sizes: Sequence[int]
) -> ProductClassifier:
    """Encoders with an untrained head of their widths; see :func:`build_head`."""
    widths = [encoder.width if encoder else 0 for encoder in (image_encoder, text_encoder)]
    head = build_head(name, image_width=widths[0], text_width=widths[1], sizes=sizes)
    return ProductClassifier(image_encoder, text_encoder, head)


def build_head(name: str, *, image_width: int, text_width: int, sizes: Sequence[int]) -> Head:
    """An untrained head by name.

    Args:
        name: a key of ``HEADS``.
        image_width: D of the image encoder.
        text_width: D of the text encoder.
        sizes: (A,) number of classes of each attribute.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in HEADS:
        raise ValueError(f"unknown model {name!r}; known are {list(HEADS)}")
    return HEADS[name].build(image_width=image_width, text_width=text_width, sizes=sizes)
