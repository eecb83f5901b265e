"""The accuracy gate: how much accuracy a fast engine may lose."""

import dataclasses

import pytest

from export.accuracy_gate import gate_figures, passes_gate
from export.verify import Parity

FIGURES = {"same_class": 0.999, "accuracy": 0.968, "eager_accuracy": 0.969}
GOOD = Parity(
    engine="openvino",
    largest_difference=0.03,
    batches=10,
    products=1000,
    differing=("7",),
    attributes={"label": FIGURES},
)


def test_small_rounding_passes() -> None:
    assert passes_gate(GOOD) and gate_figures(GOOD)["passed"] and gate_figures(GOOD)["differing"] == ("7",)


@pytest.mark.parametrize("changes", [{"same_class": 0.9949}, {"accuracy": 0.9659}])
def test_too_many_changed_or_wrong_answers_fail(changes: dict[str, float]) -> None:
    for attributes in ({"label": {**FIGURES, **changes}}, {"label": FIGURES, "gender": {**FIGURES, **changes}}):
        assert not gate_figures(dataclasses.replace(GOOD, attributes=attributes))["passed"]
