"""Do picture and title mean the same class? For the conflict of a picture with a title that belongs to another product.

Legend: B batch, C classes of all attributes together, K classes of the main attribute.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from training.models.head import TOWERS


def log_agreement(answers: Mapping[str, Tensor], classes: int) -> Tensor:
    """(B,) float32, <= 0: the log of the probability that picture and title name the same class.

    Picture and title each draw a class from their own probabilities. Two models of one modality share its vote: the
    geometric mean of their probabilities, scaled to a sum of 1. A product without both modalities gets a number that
    means nothing.

    Args:
        answers: logits (B, C) of the single models, by tower; at least one of each modality.
        classes: K; the main attribute's logits come first.
    """
    votes = []
    for modality in ("image", "text"):
        of_modality = [logits[:, :classes].float() for name, logits in answers.items() if TOWERS[name] == modality]
        votes.append(torch.stack([each.log_softmax(1) for each in of_modality]).mean(0).log_softmax(1))
    return torch.logsumexp(votes[0] + votes[1], dim=1)
