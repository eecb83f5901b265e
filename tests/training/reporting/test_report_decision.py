"""Which models are the best, which one to take, and the sentences that say so."""

import itertools
from typing import Any

import pytest

from training.models import HEADS
from training.reporting.results.decision import Decision, decide, decision_sentences
from training.reporting.results.model_comparison import ModelComparison
from training.reporting.results.model_names import SIMPLEST_FIRST

ALL = ("image", "text", "lexical", "early", "intermediate", "late", "baseline", "majority")
WEAK = ("image", "text", "lexical", "baseline")


def comparison(*better: tuple[str, str], names: tuple[str, ...] = ALL, macro: Any = ()) -> ModelComparison:
    """Ties, but for the pairs whose first model is better than the second; ``macro`` likewise by macro-F1."""

    def word(pairs: Any, one: str, other: str) -> dict[str, str]:
        return {"verdict": "better" if (one, other) in pairs else "worse" if (other, one) in pairs else "tie"}

    judged = [
        {"model": one, "other": other, "accuracy": word(better, one, other), "macro_f1": word(macro, one, other)}
        for one, other in itertools.combinations([name for name in names if name != "majority"], 2)
    ]
    return ModelComparison({name: {} for name in names}, judged)


FUSIONS_WIN = tuple(itertools.product(("early", "intermediate", "late"), WEAK))


def text_of(decision: Decision) -> str:
    return decision_sentences(decision, products=600)


def test_every_model_has_its_place_in_the_order() -> None:
    assert sorted(SIMPLEST_FIRST) == sorted(HEADS)


def test_of_three_equals_the_simplest_is_taken() -> None:
    decision = decide(comparison(*FUSIONS_WIN))
    assert (decision.take, decision.fusion, decision.best) == ("late", None, ("early", "intermediate", "late"))
    assert text_of(decision) == (
        "On 600 test products early, intermediate and late show no measurable difference in accuracy; all beat image, "
        "text, lexical and TF-IDF + SVM. Take late: it is the simplest."
    )
    assert [decision.choice(name) for name in ("late", "early", "text")] == [
        "take this one",
        "not measurably worse",
        "",
    ]


def test_a_model_of_titles_names_the_one_for_products_without() -> None:
    decision = decide(comparison(("late", "image")))
    assert (decision.take, decision.fusion) == ("lexical", "late")
    text = text_of(decision)
    assert "Take lexical: it is the simplest that an archive can hold." in text, "the baseline is simpler still"
    assert text.endswith("It reads the title alone; if a title may be missing, take late.")
    assert "Image is worse than some of them." in text
    assert decision.choice("late") == "if a title may be missing"


def test_one_best_model_is_taken_for_that() -> None:
    beats = tuple(("intermediate", name) for name in ALL if name not in ("intermediate", "majority"))
    text = text_of(decide(comparison(*beats)))
    assert text.startswith("On 600 test products intermediate is measurably the most accurate, before image, text")
    assert text.endswith("Take intermediate.")


def test_a_baseline_that_beats_all_is_named_and_not_taken() -> None:
    beats = tuple(("baseline", name) for name in ALL if name not in ("baseline", "majority"))
    decision = decide(comparison(*beats))
    assert decision.best == ("baseline",) and decision.take == "lexical"
    assert "No archive can hold TF-IDF + SVM; of the others take lexical." in text_of(decision)


def test_macro_f1_decides_among_equals_in_accuracy() -> None:
    decision = decide(comparison(*FUSIONS_WIN, macro={("early", "late")}))
    assert (decision.take, decision.by_macro_f1) == ("early", True)
    assert "the simplest whose macro-F1 is not worse either" in text_of(decision)
    assert decide(comparison(*FUSIONS_WIN, macro={("baseline", "late")})).take == "late", "of the best alone"


@pytest.mark.parametrize("names", [("image", "baseline", "majority"), ("gated", "image", "baseline", "majority")])
def test_few_models_are_enough(names: tuple[str, ...]) -> None:
    decision = decide(comparison(names=names))
    assert decision.take == "image" and decision.fusion is None
