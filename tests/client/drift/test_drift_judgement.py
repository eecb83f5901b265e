"""Whether answers have moved: beyond chance, by enough, and not by too few products."""

import dataclasses

import numpy as np
import pytest

from client.api.errors import ClientError
from client.drift.advice import sentence
from client.drift.counts import AnswerCounts, Share
from client.drift.judgement import CONFLICTS, LABELS, MODALITIES, OTHERS, SCORES, UNSURE, Judged, judge

CLASSES = ("Bags", "Hats", "Shoes", "Ties")
SCORED = (0, 0, 50, 100, 150, 200, 200, 300, 400, 600, 2000)


def counts(products: int = 4000, **changes: object) -> AnswerCounts:
    """Answers of which a quarter is of each class, 5 % are unsure and 1.5 % in conflict."""
    share = products / 4000
    usual = AnswerCounts(
        source="here",
        products=products,
        labels=dict.fromkeys(CLASSES, products / 4),
        scores=[each * share for each in SCORED],
        modalities={"both": products * 0.9, "text": products * 0.1},
        unsure=Share(products * 0.05, products),
        conflicts=Share(products * 0.0135, products * 0.9),
    )
    return dataclasses.replace(usual, **changes)


def moved(now: AnswerCounts, reference: AnswerCounts | None = None) -> list[str]:
    return [each.name for each in judge(reference or counts(), now, least=500) if each.moved]


@pytest.mark.parametrize("products", [500, 4000, 10**6])
def test_equal_shares_are_steady_however_many_products(products: int) -> None:
    assert moved(counts(products)) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"labels": {"Bags": 500, "Hats": 1000, "Shoes": 1000, "Ties": 1500}}, LABELS),
        ({"labels": {"Bags": 0, "Hats": 1400, "Shoes": 1300, "Ties": 1300}}, LABELS),
        ({"scores": [100, 200, 300, 300, 300, 300, 300, 300, 400, 500, 1000]}, SCORES),
        ({"modalities": {"both": 2800, "text": 1200}}, MODALITIES),
        ({"modalities": {"both": 3600, "image": 400}}, MODALITIES),
        ({"unsure": Share(400, 4000)}, UNSURE),
        ({"unsure": Share(20, 4000)}, UNSURE),
        ({"conflicts": Share(200, 3600)}, CONFLICTS),
    ],
)
def test_each_figure_moves_alone(changes: dict[str, object], name: str) -> None:
    assert moved(counts(**changes)) == [name]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {"Bags": 800, "Hats": 1000, "Shoes": 1000, "Ties": 1200}},  # certain, but small
        {"unsure": Share(280, 4000)},  # less than three points more
        {"conflicts": Share(120, 3600)},
    ],
)
def test_a_small_change_is_steady_even_if_it_is_certain(changes: dict[str, object]) -> None:
    now = counts(**changes)
    assert moved(now) == []
    assert min(each.p_value for each in judge(counts(), now, least=500)) < 0.001


def test_large_shares_have_to_change_by_half() -> None:
    before = counts(unsure=Share(1600, 4000))
    assert moved(counts(unsure=Share(1900, 4000)), before) == []
    assert moved(counts(unsure=Share(2500, 4000)), before) == [UNSURE]


def test_chance_alone_moves_nothing() -> None:
    """Many rare classes: their PSI is large by chance, whatever they do."""
    random = np.random.default_rng(0)
    names = [f"class {number}" for number in range(200)]
    shares = random.dirichlet(np.full(200, 0.3))

    def drawn(products: int) -> AnswerCounts:
        labels = dict(zip(names, map(float, random.multinomial(products, shares)), strict=True))
        return counts(products, labels=labels)

    assert not any(moved(drawn(500), drawn(3000)) for _ in range(100))


def test_rare_values_are_counted_together() -> None:
    labels = {**dict.fromkeys(CLASSES, 980.0), **{f"rare {number}": 2.0 for number in range(40)}}
    [found] = [each for each in judge(counts(labels=labels), counts(labels=labels), least=500) if each.name == LABELS]
    assert set(found.changes) == {*CLASSES, OTHERS}


@pytest.mark.parametrize("few", ["reference", "now"])
def test_too_few_products_are_not_judged(few: str) -> None:
    pair = {"reference": counts(), "now": counts(), few: counts(499, source="there")}
    with pytest.raises(ClientError, match="too few products to judge: there has 499, at least 500 are needed; "):
        judge(pair["reference"], pair["now"], least=500)


def test_a_class_that_the_reference_does_not_have_is_named() -> None:
    with pytest.raises(ClientError, match="here has classes that the reference does not have \\('Scarves'\\)"):
        judge(counts(), counts(labels={"Scarves": 4000.0}), least=500)


def test_what_one_of_them_lacks_is_not_judged() -> None:
    lacking = counts(scores=None, modalities=None, unsure=None, conflicts=None)
    assert [each.name for each in judge(counts(), lacking, least=500)] == [LABELS]


def said(**changes: object) -> str:
    return sentence(judge(counts(), counts(**changes), least=500))


def test_the_sentence_says_what_moved_by_how_much_and_what_to_do() -> None:
    assert said() == "steady: labels, scores, modalities, unsure, conflicts are as on validation"
    labels = said(labels={"Bags": 500.0, "Hats": 1000.0, "Shoes": 1000.0, "Ties": 1500.0})
    assert labels.startswith("moved: labels (") and "Bags 25.0 -> 12.5 %" in labels and "the mix of products" in labels
    unsure = said(unsure=Share(400, 4000))
    assert unsure.startswith("moved: unsure (5.0 -> 10.0 %). Next: ") and "train again" in unsure
    assert "surer than on validation" in said(unsure=Share(20, 4000))
    lower, higher = list(SCORED), list(SCORED)
    lower[2], lower[-1], higher[2:9], higher[-1] = 1050, 1000, [0] * 7, 3400
    assert "train again" in said(scores=lower) and "surer than on validation" in said(scores=higher)
    assert "lost on the way" in said(modalities={"both": 2800.0, "text": 1200.0})
    assert "wrong products" in said(conflicts=Share(300, 3600))


def test_a_share_that_is_never_seen_is_no_error() -> None:
    none = counts(unsure=Share(0, 4000), conflicts=Share(0, 0))
    found = {each.name: each for each in judge(none, none, least=500)}
    assert isinstance(found[UNSURE], Judged) and not found[UNSURE].moved and CONFLICTS not in found
