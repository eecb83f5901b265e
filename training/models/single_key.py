"""The control of intermediate fusion, an ablation: cross-attention with one key instead of many.

Softmax over one key is always 1, so each cell gets the same linear map of the title. If this model is as accurate as
:class:`training.models.intermediate.IntermediateFusion`, attention to words does not help there.
"""

import torch
from torch import Tensor

from training.models.intermediate import IntermediateFusion


class SingleKeyFusion(IntermediateFusion):
    """:class:`IntermediateFusion` with the pooled title as the only key and value; same arguments."""

    attends = False

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        cells, tokens = self._project(image, text, present)
        title = torch.where(present[:, 1:], tokens[:, 0], self.missing_text)
        key = title[:, None]  # (B, 1, E)
        attended, _ = self.attention(cells, key, key, need_weights=False)
        return self._classify(attended, cells, title, self.letters(lexical, present))
