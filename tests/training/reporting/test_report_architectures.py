"""The diagrams agree with the models that they draw, and every arrow leads somewhere."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from training.models.early import EarlyFusion
from training.models.intermediate import IntermediateFusion
from training.reporting.sections.architectures import (
    BOX_WIDTH,
    STEP,
    Diagram,
    Widths,
    draw_architectures,
    early_fusion,
    intermediate_fusion,
    late_fusion,
)

WIDTHS = Widths("resnet18", 512, "bert-base-uncased", 768, 7, 142)
DIAGRAMS = [early_fusion(WIDTHS), intermediate_fusion(WIDTHS), late_fusion(WIDTHS)]


@pytest.mark.parametrize("diagram", DIAGRAMS, ids=lambda diagram: diagram.title)
def test_arrows_lead_from_left_to_right_and_all_ends_in_the_classes(diagram: Diagram) -> None:
    read = {name for box in diagram.boxes.values() for name in box.after}
    assert set(diagram.boxes) - read == {"classes"}
    for box in diagram.boxes.values():
        assert all(diagram.boxes[name].column < box.column for name in box.after)
    places = [(box.column, box.row) for box in diagram.boxes.values()]
    assert len(set(places)) == len(places) and STEP > BOX_WIDTH


def test_the_widths_are_those_of_the_models() -> None:
    early, middle, late = ({name: box.text for name, box in each.boxes.items()} for each in DIAGRAMS)
    model = EarlyFusion(image_width=512, text_width=768, classes=142)
    linears = [layer for layer in model.classifier if isinstance(layer, torch.nn.Linear)]
    assert early["join"].endswith(f"\n{linears[0].in_features}") and early["hidden"].endswith(
        f"\n{linears[0].out_features}"
    )
    fusion = IntermediateFusion(image_width=512, text_width=768, classes=142)
    width = fusion.attention.embed_dim
    assert middle["cells"].endswith(f"49 × {width}") and middle["null"].endswith(f"1 × {fusion.null_key.numel()}")
    assert middle["attention"].endswith(f"{fusion.attention.num_heads} heads")
    assert fusion.norm.normalized_shape == (3 * width,) and f"3 × {width}" in middle["join"]
    assert all("142 classes" in texts["classes"] for texts in (early, middle, late))


def test_long_names_of_encoders_are_drawn(tmp_path: Path) -> None:
    widths = WIDTHS._replace(image_encoder="efficientnet_lite0", text_encoder="sentence-transformers-" * 4)
    draw_architectures(tmp_path / "fusions.png", widths)
    with Image.open(tmp_path / "fusions.png") as picture:
        assert 1300 < picture.width < 1800
