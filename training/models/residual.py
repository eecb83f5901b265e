"""A learned fusion on top of what the single models already say: their logits are added, the fusion corrects the sum.

Adding logits is the product of the two opinions, what independent witnesses call for; titles and pictures are not
independent, and the fusion learns by how much the sum is off. It starts from no correction at all. So a product with
one side missing starts from the very answer of the surviving single model, and the fusion has no reason to leave it.
"""

import torch
from torch import Tensor, nn


class ResidualFusion(nn.Module):
    """z = z_image + z_text + fusion(image, text), each z where its modality is present.

    Args:
        image_head: of the single model; its weights stay as they are.
        text_head: likewise.
        fusion: features -> logits (B, C); its last linear layer starts at zero.
    """

    def __init__(self, image_head: nn.Module, text_head: nn.Module, fusion: nn.Module) -> None:
        super().__init__()
        self.image_head = image_head.requires_grad_(False)
        self.text_head = text_head.requires_grad_(False)
        self.fusion = fusion
        last = [module for module in fusion.modules() if isinstance(module, nn.Linear)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def train(self, mode: bool = True) -> "ResidualFusion":
        """Train the fusion; the single models' heads stay without dropout."""
        super().train(mode)
        self.image_head.eval()
        self.text_head.eval()
        return self

    def forward(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        """Features as in :class:`training.models.ProductClassifier` -> logits (B, C)."""
        by_image = self.image_head(image, text, attention_mask, present)
        by_text = self.text_head(image, text, attention_mask, present)
        known = torch.where(present[:, :1], by_image, 0.0) + torch.where(present[:, 1:], by_text, 0.0)
        logits: Tensor = known + self.fusion(image, text, attention_mask, present)
        return logits
