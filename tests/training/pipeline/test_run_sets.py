"""The sets of classes of a run: a threshold for each state of modalities, and what it does on the test part."""

from pathlib import Path
from typing import Any

import pytest

from handlers.product_serving.settings import ProductSettings
from training.pipeline.results import SETS_FILE


@pytest.mark.parametrize(
    ("model", "states"),
    [("image", ["image"]), ("text", ["text"]), ("lexical", ["text"]), ("late", ["both", "image", "text"])],
)
def test_each_state_has_a_threshold_and_figures(
    trained_run: Path, read_json: Any, model: str, states: list[str]
) -> None:
    settings = ProductSettings.from_json(trained_run / model / "settings.json")
    found = read_json(trained_run / model / SETS_FILE)
    assert list(found["states"]) == states and found["coverage"] == settings.set_coverage == 0.95
    for state, figures in found["states"].items():
        of_state = settings if state == "both" else settings.for_modalities((state,))
        assert 0 < of_state.main.set_threshold < 1
        assert 1 <= figures["size"] <= len(settings.labels) and 0 <= figures["single"] <= figures["coverage"] + 1
        assert figures["products"] > 0 and 0 <= figures["coverage"] <= 1
