"""Named sets of choices for a training run; whatever is given on the command line beside one of them wins.

``quick`` is for a first look: minutes for a few hundred products. ``full`` is for a claim: a split that does not leak,
encoders whose weights need no network, pictures read small first, features that the encoders were not tuned on, and at
the end the robustness and the report.
"""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    "quick": {},
    "full": {
        "split": "grouped",
        "image_encoder": "efficientnet_lite0",
        "text_encoder": "minilm",
        "image_fit": "squash",
        "image_size": 128,
        "image_epochs": 8,
        "image_sizes": (96, 96, 96, 96, 96, 128, 128, 128),
        "batch_statistics": True,
        "freeze_stem": True,
        "image_rate": 1e-3,
        "text_epochs": 3,
        "text_rate": 5e-5,
        "batch_size": 64,
        "cross_fit": 2,
        "cross_fit_sizes": (64, 64, 96),
        "fusion_epochs": 4,
        "fusion_rate": 5e-4,
        "thin_titles": 0.3,
        "report": True,
        "models": ("image", "text", "early", "intermediate", "late", "gated", "single_key"),
    },
}
