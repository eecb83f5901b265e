"""A picture tower of a few convolutions: what costs a real one ten seconds, in training and export, costs it one.

Training finds it as ``--image-encoder small`` in every process that has imported this module.
"""

from pathlib import Path

import torch
from torch import nn

from training.models.encoders import IMAGE_ENCODERS, ImageEncoder
from training.models.weights.weights_file import WeightsError

CHANNELS, CONVOLUTIONS = 16, 5


def small_tower(weights: str = "imagenet") -> ImageEncoder:
    """(B, 3, H, W) uint8 -> (B, N, 16) cells, N = H/32 * W/32; with random weights, always the same.

    Raises:
        WeightsError: ``weights`` names a file.
    """
    if weights not in ("imagenet", "none"):
        raise WeightsError(f"no weights at {Path(weights)}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [
            nn.Sequential(
                nn.Conv2d(CHANNELS if number else 3, CHANNELS, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(CHANNELS),
                nn.ReLU6(),
            )
            for number in range(CONVOLUTIONS)
        ]
    return ImageEncoder(nn.Sequential(*layers), CHANNELS, stem=layers[:2], keep_statistics=weights != "none")


REAL_TOWERS = sorted(IMAGE_ENCODERS)
IMAGE_ENCODERS["small"] = small_tower
