"""The control of intermediate fusion: one key instead of many, so that attention has nothing to choose.

Softmax over one key is 1 whatever the picture holds: what the cells get is a linear map of the title. If this does as
well as :class:`training.models.intermediate.IntermediateFusion`, attending to words is not what that model wins by.
"""

import torch
from torch import Tensor

from training.models.intermediate import IntermediateFusion


class SingleKeyFusion(IntermediateFusion):
    """As :class:`IntermediateFusion` with the pooled title as the only key and value; arguments as there."""

    attends = False

    def forward(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        cells, tokens = self._project(image, text, present)
        title = torch.where(present[:, 1:], tokens[:, 0], self.missing_text)
        key = title[:, None]  # (B, 1, E)
        attended, _ = self.attention(cells, key, key, need_weights=False)
        return self._classify(attended, cells, title)
