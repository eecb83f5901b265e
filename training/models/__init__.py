"""The classifiers: up to three towers and a head behind one graph signature; they differ in the head.

Legend: B batch, N picture cells, T title tokens, G ids of a title's letters, D width of an encoder, A attributes,
C classes of all attributes, concatenated.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from handlers.product_serving.settings import MODALITIES
from training.models.agreement import log_agreement
from training.models.early import EarlyFusion
from training.models.encoders import ImageEncoder, TextEncoder
from training.models.gated import GatedFusion
from training.models.head import TOWERS, Head
from training.models.image import ImageHead
from training.models.intermediate import IntermediateFusion
from training.models.late import LateFusion
from training.models.lexical import LexicalHead
from training.models.lexical_encoder import LexicalEncoder
from training.models.single_key import SingleKeyFusion
from training.models.text import TextHead

MODELS: dict[str, type[Head]] = {
    "image": ImageHead,
    "text": TextHead,
    "lexical": LexicalHead,
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
        head: (image (B, N, D), text (B, T, D), attention_mask (B, T), present (B, 2), lexical (B, D)) -> logits
            (B, C).
        lexical_encoder: (B, G) ids -> (B, D), or None for a head that does not read them.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder | None,
        text_encoder: TextEncoder | None,
        head: Head,
        lexical_encoder: LexicalEncoder | None = None,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.lexical_encoder = lexical_encoder
        self.head = head

    @property
    def encoders(self) -> "Encoders":
        """The encoders, without the head."""
        return Encoders(self.image_encoder, self.text_encoder, self.lexical_encoder)

    def forward(
        self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, present: Tensor, ngrams: Tensor
    ) -> Tensor:
        """(B, 3, H, W) uint8, (B, T) int64, (B, T) int64, (B, 2) bool, (B, G) int64 -> logits (B, C) float32."""
        cells, tokens, lexical = self.encode(image, input_ids, attention_mask, ngrams)
        logits, _ = self.classify(cells, tokens, attention_mask, present, lexical)
        return logits

    def classify(
        self, cells: Tensor, tokens: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features -> logits (B, C) float32, and (B,) as :func:`training.models.agreement.log_agreement`.

        A model of one modality has no conflict; its second answer is 0.
        """
        features = (cells, tokens, attention_mask, present, lexical)
        logits: Tensor = self.head(*features).float()
        singles = self.head.single_answers(*features)
        if {TOWERS[name] for name in singles} != set(MODALITIES):
            return logits, torch.zeros_like(logits[:, 0])
        return logits, log_agreement(singles, self.head.sizes[0])

    def letters(self, lexical: Tensor) -> Tensor:
        """(B, D) lexical feature -> logits (B, C) of the lexical model within a fusion."""
        nothing = torch.empty(0)
        logits: Tensor = self.head.get_submodule("heads.lexical")(nothing, nothing, nothing, nothing, lexical)
        return logits.float()

    def encode(
        self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, ngrams: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The features (B, N, D), (B, T, D) and (B, D) for the head; an empty tensor for a missing encoder."""
        nothing = torch.empty(0)
        cells = nothing if self.image_encoder is None else self.image_encoder(image)
        tokens = nothing if self.text_encoder is None else self.text_encoder(input_ids, attention_mask)
        lexical = nothing if self.lexical_encoder is None else self.lexical_encoder(ngrams)
        return cells, tokens, lexical


class Encoders(NamedTuple):
    """The towers' encoders; None for a missing one. The fields are the keys of ``TOWERS``."""

    image: ImageEncoder | None = None
    text: TextEncoder | None = None
    lexical: LexicalEncoder | None = None


def joined_encoders(models: Mapping[str, ProductClassifier]) -> Encoders:
    """The encoders of single models, by tower."""
    return Encoders(**{name: getattr(model.encoders, name) for name, model in models.items()})


def build_classifier(name: str, encoders: Encoders, *, sizes: Sequence[int]) -> ProductClassifier:
    """Encoders with an untrained head of their widths; see :func:`build_head`."""
    widths = [encoder.width if encoder else 0 for encoder in encoders]
    head = build_head(name, image_width=widths[0], text_width=widths[1], lexical_width=widths[2], sizes=sizes)
    return ProductClassifier(encoders.image, encoders.text, head, encoders.lexical)


def build_head(name: str, *, image_width: int, text_width: int, sizes: Sequence[int], lexical_width: int = 0) -> Head:
    """An untrained head by name.

    Args:
        name: a key of ``HEADS``.
        image_width: D of the image encoder.
        text_width: D of the text encoder.
        sizes: (A,) number of classes of each attribute.
        lexical_width: D of the lexical encoder; 0 without one.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in HEADS:
        raise ValueError(f"unknown model {name!r}; known are {list(HEADS)}")
    return HEADS[name].build(image_width=image_width, text_width=text_width, sizes=sizes, lexical_width=lexical_width)
