"""Scores and labels of several attributes: the best of the combinations that training has seen."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.product_serving.hierarchy import attribute_scores, chosen_labels
from handlers.product_serving.settings import Attribute, Hierarchy, ProductSettings

LABELS = ("Shirts", "Shoes", "Sandals")
KIND = Attribute(name="kind", labels=("Apparel", "Footwear", "Free Items"), temperature=1.5)
GENDER = Attribute(name="gender", labels=("Men", "Women"))
CHAIN = Hierarchy(attributes=("type", "kind"), combinations=((0, 0), (1, 1), (2, 1)), temperature=2.0)


def model(target: str = "type", hierarchies: tuple[Hierarchy, ...] = (CHAIN,)) -> ProductSettings:
    """A model of types, kinds and genders; one of the first two is the main attribute."""
    type_ = Attribute(name="type", labels=LABELS, temperature=0.8)
    first, second = (type_, KIND) if target == "type" else (KIND, type_)
    return ProductSettings(model="late", attributes=(first, GENDER, second), hierarchies=hierarchies)


def softmax(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    powers = np.exp(logits / temperature)
    return np.asarray(powers / powers.sum())


def brute_force(
    logits: NDArray[np.float64], of: ProductSettings
) -> tuple[dict[str, NDArray[np.float64]], dict[str, int]]:
    """Brute force over every combination of labels: marginals and the expected answer."""
    alone = {each.name: softmax(logits[of.slices[each.name]], each.temperature) for each in of.attributes}
    joint = {}
    for type_, kind in itertools.product(range(len(LABELS)), range(len(KIND.labels))):
        if (type_, kind) in CHAIN.combinations:
            joint[type_, kind] = (alone["type"][type_] * alone["kind"][kind]) ** (1 / CHAIN.temperature)
    total = sum(joint.values())
    marginals = {"gender": alone["gender"]}
    for place, name in enumerate(("type", "kind")):
        size = len(alone[name])
        marginals[name] = np.array(
            [sum(p for labels, p in joint.items() if labels[place] == label) / total for label in range(size)]
        )
    target = int(marginals[of.target].argmax())
    possible = [labels for labels in joint if labels[("type", "kind").index(of.target)] == target]
    type_, kind = max(possible, key=lambda labels: joint[labels])
    return marginals, {"type": type_, "kind": kind, "gender": int(alone["gender"].argmax())}


numbers = st.lists(st.integers(-400, 400).map(lambda value: value / 64), min_size=8, max_size=8, unique=True)


@settings(max_examples=150, deadline=None)
@given(numbers, st.sampled_from(["type", "kind"]))
def test_the_answer_is_that_of_brute_force_and_never_inconsistent(values: list[float], target: str) -> None:
    of, logits = model(target), np.array(values)
    scores = attribute_scores(logits[None], of)
    marginals, expected = brute_force(logits, of)
    for name, part in of.slices.items():
        np.testing.assert_allclose(scores[0, part], marginals[name], atol=1e-12)
    answered = dict(zip(of.slices, chosen_labels(scores, of)[0].tolist(), strict=True))
    assert (answered["type"], answered["kind"]) in CHAIN.combinations
    assert answered[target] == scores[0, of.slices[target]].argmax()
    best, second = sorted(marginals[target])[:-3:-1]
    if best - second > 1e-9:
        assert answered == expected


def test_a_shoe_is_never_in_apparel() -> None:
    """Its own logits strongly favour Apparel."""
    of = model()
    scores = attribute_scores(np.array([[0.0, 9.0, 1.0, 0.0, 1.0, 9.0, 8.0, 0.0]]), of)
    assert [each.labels[label] for each, label in zip(of.attributes, chosen_labels(scores, of)[0], strict=True)] == [
        "Shoes", "Women", "Footwear",
    ]  # fmt: skip
    np.testing.assert_allclose([scores[0, part].sum() for part in of.slices.values()], 1)
    assert scores[0, of.slices["kind"]][2] == 0  # no combination has it


def test_attributes_without_a_hierarchy_are_independent() -> None:
    of, logits = model(hierarchies=()), np.array([[0.0, 9.0, 1.0, 0.0, 1.0, 9.0, 8.0, 0.0]])
    scores = attribute_scores(logits, of)
    for each in of.attributes:
        np.testing.assert_allclose(
            scores[0, of.slices[each.name]], softmax(logits[0, of.slices[each.name]], each.temperature)
        )
    assert chosen_labels(scores, of).tolist() == [[1, 1, 0]]


def test_nan_stays_in_its_row() -> None:
    logits = np.zeros((2, 8))
    logits[0] = np.nan
    scores = attribute_scores(logits, model())
    assert np.isnan(scores[0]).all() and np.isfinite(scores[1]).all()


def test_extreme_logits_do_not_overflow() -> None:
    of = model()
    scores = attribute_scores(np.array([[1e30, -1e30, 0.0, 0.0, 1e30, -1e30, 1e30, 0.0]]), of)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose([scores[0, part].sum() for part in of.slices.values()], 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": ("type", "kind", "size")}, r"known attributes, each at most once, got \['size'\]"),
        ({"combinations": ((0, 0), (1, 1))}, "a label of each"),
        ({"combinations": ((0, 0), (1, 1), (2, 3))}, "a label of each"),
        ({"combinations": ((1, 0), (0, 1), (2, 1))}, "in order"),
    ],
)
def test_a_hierarchy_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(hierarchies=(dataclasses.replace(CHAIN, **change),))  # type: ignore[arg-type]
